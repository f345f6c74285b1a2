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
	"bugcheck/windbglog"
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
	Default  *string   `json:"default_bucket"`
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

// Log is the case as the log that it was taken from.
func (c Case) Log() *windbglog.Log {
	l := &windbglog.Log{
		Code: uint32(number(c.Code)), Arch: text(c.Arch), Process: text(c.Process), IRQL: c.IRQL, Verifier: c.Verifier,
		Access: strings.ToLower(text(c.AVType)), Corruptor: text(c.Differ), Old: c.Default != nil, Doubt: -1,
		Said: windbglog.Said{Image: text(c.Image), Module: text(c.Module), Symbol: text(c.Symbol), Bucket: text(c.Bucket), Hash: text(c.Hash)},
	}
	for _, a := range c.Args {
		if a == nil {
			break
		}
		l.Arguments = append(l.Arguments, number(*a))
	}
	_, _ = fmt.Sscanf(strings.TrimPrefix(strings.TrimPrefix(text(c.Build), "10.0."), "6.3."), "%d", &l.Build)
	for _, fr := range c.Frames {
		l.Frames = append(l.Frames, windbglog.Frame{Module: text(fr.Module), Symbol: text(fr.Symbol), Offset: number(text(fr.Offset))})
	}
	if c.Status != nil {
		status := uint32(number(*c.Status))
		l.Exception = &status
	}
	return l
}

// Modern reports a case of a debugger of today (10.0, since about 2019): its
// bucket has neither the architecture nor an offset, and it has no
// DEFAULT_BUCKET_ID, a field that was dropped then.
func (c Case) Modern() bool {
	return c.Default == nil && !analyze.IsOldBucket(text(c.Bucket))
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
