// Package unwind turns registers, a stack and unwind tables into frames.
package unwind
