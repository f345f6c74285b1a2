// Package pdb reads Microsoft's symbol files (.pdb).
package pdb
