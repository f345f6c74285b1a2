package timeline

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"bugcheck/internal/evtx"
	"bugcheck/internal/le"
	"bugcheck/report"
	"bugcheck/win"
)

// ErrNoReport says that a file is no report of Windows Error Reporting.
var ErrNoReport = errors.New("not a report of Windows Error Reporting (Report.wer)")

// DetectReport reports that a file begins as a Report.wer does: with "Version=", in UTF-16
// behind its mark, or in bytes.
func DetectReport(head []byte) bool {
	return bytes.HasPrefix(head, []byte("\xff\xfeV\x00e\x00r\x00")) || bytes.HasPrefix(head, []byte("Version="))
}

// maxReport bounds what is read of a Report.wer; real ones have some 20 KiB.
const maxReport = 1 << 20

// ReadReport reads a Report.wer, the text file that Windows Error Reporting keeps of a
// crash: lines of name=value in UTF-16. It becomes a log of one record, as if the
// Application log had told of it.
//
// The names: https://docs.logpresso.com/en/query/wer-file-command and published files.
func ReadReport(r io.ReaderAt, size int64, file string) (*Log, error) {
	b := make([]byte, min(size, maxReport))
	n, err := r.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("report: %w", err)
	}
	values := reportValues(plainText(b[:n]))
	kind, ok := values["EventType"]
	if !ok {
		return nil, ErrNoReport
	}
	e := evtx.Record{Provider: "Windows Error Reporting", Event: 1001, Level: 4, Channel: "Application"}
	if t, err := strconv.ParseUint(values["EventTime"], 10, 64); err == nil {
		e.Time, _ = win.FileTime(t)
	}
	e.Data = []evtx.Value{{Name: "EventName", Text: kind}, {Name: "Bucket", Text: values["Response.BucketId"]}, {Name: "ReportId", Text: values["ReportIdentifier"]}}
	for i := range 5 { // the stop code and its parameters
		e.Data = append(e.Data, evtx.Value{Name: fmt.Sprintf("P%d", i+1), Text: values[fmt.Sprintf("Sig[%d].Value", i)]})
	}
	l := &Log{File: report.EventLog{File: file, Channel: "Application", Records: 1}}
	l.records = []record{{Record: e, log: file, known: knownEvent(&e)}}
	l.records[0].said = l.records[0].say()
	if !e.Time.IsZero() {
		l.File.From, l.File.To = &e.Time, &e.Time
	}
	return l, nil
}

// plainText decodes UTF-16 behind its mark, else takes bytes as they are.
func plainText(b []byte) string {
	if len(b) < 2 || le.U16(b, 0) != 0xfeff {
		return string(b)
	}
	var s strings.Builder
	for i := 2; i+1 < len(b); i += 2 {
		s.WriteRune(rune(le.U16(b, i))) // names and values that matter are ASCII
	}
	return s.String()
}

var reportLine = regexp.MustCompile(`^([A-Za-z0-9_.\[\]]{1,80})=(.{0,400})`)

func reportValues(text string) map[string]string {
	values := map[string]string{}
	for line := range strings.Lines(text) {
		if m := reportLine.FindStringSubmatch(strings.TrimRight(line, "\r\n")); m != nil {
			if _, ok := values[m[1]]; !ok {
				values[m[1]] = win.Clean(m[2])
			}
		}
	}
	return values
}
