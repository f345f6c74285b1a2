// Package logs reads facts taken from published debugger logs and compares
// Judge's answers with the debugger's.
package logs

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"bugcheck/analyze"
	"bugcheck/kernel"
	"bugcheck/report"
	"bugcheck/win"
)

// Case is one published log.
type Case struct {
	ID       string    `json:"id"`
	Build    *string   `json:"windows_build"`
	Arch     *string   `json:"arch"`
	Code     string    `json:"bugcheck"`
	Args     []*string `json:"args"`
	Status   *string   `json:"exception_code"`
	Process  *string   `json:"process"`
	Module   *string   `json:"module"`
	Image    *string   `json:"image"`
	Symbol   *string   `json:"symbol"`
	Bucket   *string   `json:"failure_bucket"`
	Hash     *string   `json:"failure_hash"`
	IRQL     *uint8    `json:"irql"`
	Frames   []Frame   `json:"frames"`
	Differ   *string   `json:"memory_corruptor"`
	Verifier bool      `json:"verifier"`
	AVType   *string   `json:"av_type"`
	Complete bool      `json:"complete"`
}

// Frame is one line of a log's stack.
type Frame struct {
	Module *string `json:"module"`
	Symbol *string `json:"symbol"`
	Offset *string `json:"offset"`
}

// DefaultFile is the corpus's file: beside the repository, or in
// $BUGCHECK_CORPUS.
func DefaultFile() string {
	dir := os.Getenv("BUGCHECK_CORPUS")
	if dir == "" {
		dir = filepath.Join("..", "shared", "corpus")
	}
	return DefaultFileFrom(dir)
}

// DefaultFileFrom is the file of cases in a corpus.
func DefaultFileFrom(dir string) string { return filepath.Join(dir, "windbg-logs.jsonl") }

// Read reads a file of cases, one JSON object a line.
func Read(file string) ([]Case, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var cases []Case
	s := bufio.NewScanner(f)
	s.Buffer(nil, 1<<20)
	for line := 1; s.Scan(); line++ {
		var c Case
		if err := json.Unmarshal(s.Bytes(), &c); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", file, line, err)
		}
		cases = append(cases, c)
	}
	return cases, s.Err()
}

// Facts are what the log says, in Judge's terms.
func (c Case) Facts() analyze.Facts {
	code := uint32(number(c.Code))
	f := analyze.Facts{
		Arch: text(c.Arch), RawCode: code, Code: win.BaseCode(code), Verifier: c.Verifier, IRQL: c.IRQL,
		Process: text(c.Process), CodeDiffer: text(c.Differ), Context: analyze.Context{Fault: true},
		Live: strings.HasPrefix(text(c.Bucket), "LKD_"),
	}
	if s, ok := win.English.Code(f.Code); ok {
		f.Name = s.Name
		f.Live = f.Live || s.Live
	}
	for i, a := range c.Args {
		if i < 4 && a != nil {
			f.Parameters[i] = number(*a)
		}
	}
	_, _ = fmt.Sscanf(strings.TrimPrefix(strings.TrimPrefix(text(c.Build), "10.0."), "6.3."), "%d", &f.Build)
	for _, fr := range c.Frames {
		f.Frames = append(f.Frames, fr.facts())
	}
	if c.Status != nil {
		f.Exception = &analyze.Exception{Code: uint32(number(*c.Status)), Address: f.Parameters[1], Access: strings.ToLower(text(c.AVType))}
	}
	return f
}

func (fr Frame) facts() analyze.Frame {
	module := text(fr.Module)
	f := analyze.Frame{Module: module, Symbol: text(fr.Symbol), Offset: number(text(fr.Offset)), Trust: report.TrustUnwind}
	switch module {
	case "":
	case "nt":
		f.Image = "ntoskrnl.exe"
	case "hal":
		f.Image = "hal.dll"
	default:
		f.Image = module + ".sys"
	}
	return f
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func number(s string) uint64 {
	v, _ := strconv.ParseUint(s, 0, 64)
	return v
}

// sameImage compares image names: the debugger calls the kernel by its symbol
// file, and takes the extension from the image, which the logs' frames lack.
func sameImage(got, want string) bool {
	if kernel.ModuleName(got) == "nt" && kernel.ModuleName(want) == "nt" {
		return true
	}
	stem := func(s string) string { return strings.ToLower(strings.TrimSuffix(s, filepath.Ext(s))) }
	return stem(got) == stem(want)
}
