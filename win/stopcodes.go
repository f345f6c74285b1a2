package win

import (
	"embed"
	"fmt"
	"sort"
	"strconv"
	"strings"
	"sync"
)

// Lang is a language the texts exist in.
type Lang string

// The languages.
const (
	English  Lang = "en"
	Japanese Lang = "ja"
)

// StopCode is a bug check or live-dump code and what it means.
type StopCode struct {
	Code       uint32
	Name       string // DRIVER_IRQL_NOT_LESS_OR_EQUAL
	Live       bool   // a live-dump code: Windows took a dump and went on
	Category   string // memory-access, pool, boot, …
	Meaning    string
	Parameters [4]string
}

// Value is what a parameter of a stop code means when it has a certain value.
type Value struct {
	Parameter int // 1 to 4; 0: a list that belongs to no single parameter
	Value     uint64
	Meaning   string
	Others    [4]string // what the other parameters are then; "" where it says nothing
}

//go:embed data/*.tsv
var data embed.FS

// texts are the stop codes of one language.
type texts struct {
	codes  map[uint32]StopCode
	values map[uint32][]Value
}

var (
	englishTexts  = sync.OnceValue(func() texts { return load(English) })
	japaneseTexts = sync.OnceValue(func() texts { return load(Japanese) })
)

func (l Lang) texts() texts {
	if l == Japanese {
		return japaneseTexts()
	}
	return englishTexts()
}

// Code returns a stop code by its number; false if it is not in the catalogue.
func (l Lang) Code(code uint32) (StopCode, bool) {
	s, ok := l.texts().codes[code]
	return s, ok
}

// Codes lists the catalogue by rising number.
func (l Lang) Codes() []StopCode {
	all := make([]StopCode, 0, 425)
	for _, s := range l.texts().codes {
		all = append(all, s)
	}
	sort.Slice(all, func(i, j int) bool { return all[i].Code < all[j].Code })
	return all
}

// Values lists the documented values of a code's parameters, in the order of
// the catalogue.
func (l Lang) Values(code uint32) []Value { return l.texts().values[code] }

// Value returns what parameter n of a code means when it is v.
func (l Lang) Value(code uint32, n int, v uint64) (Value, bool) {
	for _, val := range l.Values(code) {
		if val.Parameter == n && val.Value == v {
			return val, true
		}
	}
	return Value{}, false
}

// aliases are other names under which a code is known.
var aliases = map[string]string{
	"STATUS_SYSTEM_PROCESS_TERMINATED": "WINLOGON_FATAL_ERROR",
}

// Find returns the codes whose name is or contains s, in any case, the exact
// match first.
func (l Lang) Find(s string) []StopCode {
	s = strings.ToUpper(strings.TrimSpace(s))
	if other, ok := aliases[s]; ok {
		s = other
	}
	var found []StopCode
	for _, c := range l.Codes() {
		if c.Name == s {
			return []StopCode{c}
		}
		if strings.Contains(c.Name, s) {
			found = append(found, c)
		}
	}
	return found
}

// BaseCode strips the flag that Windows adds to codes 0x7E, 0x7F, 0x8E and
// 0xEA when it wants the dump kept small: 0x1000007E is 0x7E.
func BaseCode(code uint32) uint32 {
	if base := code &^ 0x10000000; base != code {
		switch base {
		case 0x7e, 0x7f, 0x8e, 0xea:
			return base
		}
	}
	return code
}

func load(l Lang) texts {
	t := texts{codes: map[uint32]StopCode{}, values: map[uint32][]Value{}}
	for _, row := range Table("stopcodes", 4) {
		code := uint32(number(row[0]))
		t.codes[code] = StopCode{Code: code, Name: row[1], Live: row[2] == "livedump", Category: row[3]}
	}
	for _, row := range Table("stopcodes."+string(l), 6) {
		code := uint32(number(row[0]))
		s, ok := t.codes[code]
		if !ok {
			panic(fmt.Sprintf("data/stopcodes.%s.tsv: %s is not in data/stopcodes.tsv", l, row[0]))
		}
		s.Meaning, s.Parameters = row[1], [4]string{row[2], row[3], row[4], row[5]}
		t.codes[code] = s
	}
	for _, row := range Table("values."+string(l), 7) {
		code := uint32(number(row[0]))
		t.values[code] = append(t.values[code], Value{
			Parameter: int(number(row[1])), Value: number(row[2]), Meaning: row[3],
			Others: [4]string{"", row[4], row[5], row[6]},
		})
	}
	return t
}

// Table reads an embedded table of tab-separated rows; lines that start with #
// are comments. A row with another number of columns is a mistake in the data.
func Table(name string, columns int) [][]string {
	b, err := data.ReadFile("data/" + name + ".tsv")
	if err != nil {
		panic(err)
	}
	var rows [][]string
	for line := range strings.Lines(string(b)) {
		line = strings.TrimRight(line, "\r\n")
		if line == "" || line[0] == '#' {
			continue
		}
		row := strings.Split(line, "\t")
		if len(row) != columns {
			panic(fmt.Sprintf("data/%s.tsv: %d columns instead of %d: %q", name, len(row), columns, line))
		}
		rows = append(rows, row)
	}
	return rows
}

func number(s string) uint64 {
	v, err := strconv.ParseUint(s, 0, 64)
	if err != nil {
		panic(fmt.Sprintf("catalogue: %v", err))
	}
	return v
}

// happened maps a code, or a category, to what happened as a clause, English and
// Japanese.
var happened = sync.OnceValue(func() map[string][]string {
	m := map[string][]string{}
	for _, row := range Table("happened", 3) {
		m[row[0]] = row[1:]
	}
	return m
})

// Happened says what happened when a code was raised, as a clause without a full
// stop: by its row in the table, else by that of its category. "" if there is
// neither.
func (l Lang) Happened(code uint32) string {
	row := happened()[fmt.Sprintf("0x%08X", code)]
	if row == nil {
		s := l.texts().codes[code]
		row = happened()[s.Category]
	}
	switch {
	case row == nil:
		return ""
	case l == Japanese:
		return row[1]
	}
	return row[0]
}
