// Package undname undecorates the names that Microsoft compilers make.
package undname
