// Package disasm decodes one instruction of x86, x64 or ARM64.
package disasm
