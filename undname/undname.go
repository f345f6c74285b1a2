// Package undname undecorates the names that Microsoft's compilers, and clang
// for Windows, give to C++ functions and variables.
//
// Name answers as a debugger does: the qualified name, "FxPkgPnp::Dispatch".
// Full answers with the whole signature. Plain C names carry no types; what
// x86 adds to them is taken off by CName, because it cannot be told from the
// name alone that a name is one of x86.
//
// Decoding is bounded: recursion, the length of the result and the work.
//
// Sources: the grammar as documented by Agner Fog, "Calling conventions for
// different C++ compilers and operating systems", chapter 8, and by the
// demangler of LLVM (llvm/lib/Demangle/MicrosoftDemangle.cpp), which is also
// what the tests compare with. Differences: docs/undname.md.
package undname

import (
	"errors"
	"fmt"
	"strings"
)

// ErrFormat is wrapped by every error that says that a name is not decorated,
// or not decorated as it should be.
var ErrFormat = errors.New("not a decorated name")

// FormatError says what is wrong in a decorated name.
type FormatError struct {
	At   int    // the byte of the name where decoding stopped
	What string // "no such type"
}

func (e *FormatError) Error() string { return fmt.Sprintf("%s at byte %d", e.What, e.At) }

// Is makes errors.Is(err, ErrFormat) hold.
func (e *FormatError) Is(target error) bool { return target == ErrFormat }

const (
	maxDepth  = 64       // types inside types: real names stay below 30
	maxResult = 16 << 10 // bytes; compilers hash names of more than 4 KiB
	maxInput  = 16 << 10 // bytes
	maxWork   = 1 << 20  // bytes written while decoding: back references repeat text
)

// Name is the qualified name of what decorated names, as a debugger shows it:
// without types, access and calling convention, with template arguments as in
// "std::vector<int,std::allocator<int> >::at". A name that is not decorated,
// or cannot be decoded, comes back as it is; so does a hash (??@…@), which
// holds no name. What follows the qualified name is not looked at where it
// adds nothing, so a name whose end is cut off is still decoded.
func Name(decorated string) string {
	rest := strings.TrimPrefix(decorated, importPrefix)
	if len(rest) > 0 && (rest[0] == '#' || rest[0] == '?' && len(rest) > 1 && rest[1] == '#') {
		rest = strings.Replace(rest, "#", "", 1)
	}
	if !strings.HasPrefix(rest, "?") && !strings.HasPrefix(rest, ".?") || len(rest) > maxInput {
		return decorated
	}
	p := parser{in: rest, brief: true}
	s := p.symbol()
	if p.err != nil || s.form == hashed {
		return decorated
	}
	text := p.name(&s)
	if p.err != nil || len(text) > maxResult {
		return decorated
	}
	if len(rest) < len(decorated) && decorated[0] == '_' {
		return importPrefix + text
	}
	return text
}

// Full is the whole declaration that a decorated name stands for, as
// llvm-undname prints it: "public: int __cdecl Foo::f(void) const". The error
// wraps ErrFormat; where bytes follow the end of the name, the text of what
// stands before them comes with the error.
func Full(decorated string) (string, error) {
	p := parser{in: decorated}
	if len(decorated) > maxInput {
		return "", fmt.Errorf("name of %d bytes: %w", len(decorated), &FormatError{What: "too long"})
	}
	s := p.symbol()
	text := p.declaration(&s)
	if p.err == nil && p.pos < len(p.in) {
		p.fail("more than a name")
		return text, fmt.Errorf("name %.80q: %w", decorated, p.err)
	}
	if p.err != nil {
		return "", fmt.Errorf("name %.80q: %w", decorated, p.err)
	}
	return text, nil
}

const importPrefix = "__imp_"

// CName is the name of a C function or variable as it was written, for a
// symbol of an x86 image: name for _name (cdecl), _name@12 (stdcall), @name@8
// (fastcall) and name@@16 (vectorcall). The prefix __imp_ of an imported
// pointer stays. A name of C++ and a name without decoration come back as
// they are. Other machines decorate only vectorcall: do not ask for them.
func CName(decorated string) string {
	rest, imported := strings.CutPrefix(decorated, importPrefix)
	name := cName(rest)
	if imported {
		return importPrefix + name
	}
	return name
}

func cName(s string) string {
	if s == "" || s[0] == '?' || s[0] == '.' {
		return s
	}
	body, sized := cutSize(s)
	switch {
	case sized && s[0] == '@' && len(body) > 1:
		return body[1:]
	case sized && strings.HasSuffix(body, "@") && len(body) > 1:
		return body[:len(body)-1]
	case s[0] != '_' || len(body) < 2:
		return s
	case sized:
		return body[1:]
	}
	return s[1:]
}

// cutSize takes @ and the number of bytes of the arguments off the end of s.
func cutSize(s string) (string, bool) {
	i := len(s)
	for i > 0 && s[i-1] >= '0' && s[i-1] <= '9' {
		i--
	}
	if i == len(s) || i == 0 || s[i-1] != '@' {
		return s, false
	}
	return s[:i-1], true
}
