package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Hex is an address or 64-bit value; JSON writes it as "0x…".
type Hex uint64

func (h Hex) String() string { return fmt.Sprintf("0x%x", uint64(h)) }

// MarshalText implements encoding.TextMarshaler.
func (h Hex) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (h *Hex) UnmarshalText(b []byte) error {
	var v uint64
	if _, err := fmt.Sscanf(strings.ToLower(string(b)), "0x%x", &v); err != nil {
		return fmt.Errorf("hexadecimal value %q: %w", b, err)
	}
	*h = Hex(v)
	return nil
}

// Hex32 is a 32-bit code; JSON writes it as "0x…".
type Hex32 uint32

func (h Hex32) String() string { return fmt.Sprintf("0x%x", uint32(h)) }

// MarshalText implements encoding.TextMarshaler.
func (h Hex32) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (h *Hex32) UnmarshalText(b []byte) error {
	var v Hex
	err := v.UnmarshalText(b)
	*h = Hex32(v)
	return err
}

// Register is one register of the processor context that the report shows.
type Register struct {
	Name  string
	Value uint64
}

// Registers stand in the order of the debugger's r command. A register that
// the dump does not hold is absent, never zero. JSON writes an object.
type Registers []Register

// Get returns the value of a register and whether it is known.
func (r Registers) Get(name string) (uint64, bool) {
	for _, reg := range r {
		if reg.Name == name {
			return reg.Value, true
		}
	}
	return 0, false
}

// PC is the instruction pointer: rip, pc or eip.
func (r Registers) PC() (uint64, bool) { return r.first("rip", "pc", "eip") }

// SP is the stack pointer: rsp, sp or esp.
func (r Registers) SP() (uint64, bool) { return r.first("rsp", "sp", "esp") }

func (r Registers) first(names ...string) (uint64, bool) {
	for _, n := range names {
		if v, ok := r.Get(n); ok {
			return v, true
		}
	}
	return 0, false
}

// MarshalJSON writes {"rax": "0x…", …} in the order of the registers.
func (r Registers) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, reg := range r {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%q:\"0x%x\"", reg.Name, reg.Value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// UnmarshalJSON reads what MarshalJSON writes, in its order.
func (r *Registers) UnmarshalJSON(b []byte) error {
	d := json.NewDecoder(bytes.NewReader(b))
	switch open, err := d.Token(); {
	case err != nil:
		return err
	case open == nil:
		return nil // null: not known
	case open != json.Delim('{'):
		return fmt.Errorf("registers: an object is wanted, not %v", open)
	}
	*r = nil
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return err
		}
		var value *Hex
		if err := d.Decode(&value); err != nil {
			return fmt.Errorf("register %v: %w", name, err)
		}
		if value != nil { // null: not known, which is not zero
			*r = append(*r, Register{Name: fmt.Sprint(name), Value: uint64(*value)})
		}
	}
	return nil
}

// Text is a sentence for people: an English format and its arguments. The
// format is also the key under which a translation is found, so that a report
// can be rendered in another language long after it was made.
// The zero Text says nothing.
type Text struct {
	Format  string
	Args    []any // strings, numbers, fmt.Stringers, or Texts
	command bool  // a command line: the same in every language
}

// T returns a Text.
func T(format string, args ...any) Text { return Text{Format: format, Args: args} }

// Command returns a command line to type, as an argument of a Text.
func Command(format string, args ...any) Text {
	return Text{Format: format, Args: args, command: true}
}

// Commands lists the command lines in a sentence, in their order.
func (t Text) Commands() []string {
	if t.command {
		return []string{t.String()}
	}
	var list []string
	for _, a := range t.Args {
		if inner, ok := a.(Text); ok {
			list = append(list, inner.Commands()...)
		}
	}
	return list
}

// IsZero reports whether there is nothing to say.
func (t Text) IsZero() bool { return t.Format == "" }

// String is the sentence in English.
func (t Text) String() string { return t.In(nil) }

// In is the sentence in the language of translate, which maps an English
// format to its translation and returns "" for what it does not know; nil
// stands for English.
func (t Text) In(translate func(format string) string) string {
	format := t.Format
	if translate != nil && !t.command {
		if s := translate(format); s != "" {
			format = s
		}
	}
	if len(t.Args) == 0 {
		return format
	}
	args := make([]any, len(t.Args))
	for i, a := range t.Args {
		if inner, ok := a.(Text); ok {
			a = inner.In(translate)
		}
		args[i] = a
	}
	return fmt.Sprintf(format, args...)
}

// MarshalJSON writes the English sentence as a string.
func (t Text) MarshalJSON() ([]byte, error) { return json.Marshal(t.String()) }

// UnmarshalJSON reads a string as a sentence without arguments.
func (t *Text) UnmarshalJSON(b []byte) error {
	t.Args = nil
	return json.Unmarshal(b, &t.Format)
}

// Span is a time span in its two largest units, d, h, min and s: 2 d 5 h; 48 min 3 s.
func Span(d time.Duration) Text {
	days, h, m, s := int(d.Hours())/24, int(d.Hours())%24, int(d.Minutes())%60, int(d.Seconds())%60
	switch {
	case days > 0 && h > 0:
		return T("%d d %d h", days, h)
	case days > 0:
		return T("%d d", days)
	case h > 0 && m > 0:
		return T("%d h %d min", h, m)
	case h > 0:
		return T("%d h", h)
	case m > 0 && s > 0:
		return T("%d min %d s", m, s)
	case m > 0:
		return T("%d min", m)
	}
	return T("%d s", s)
}
