// Package render turns a report into what people and programs read: text,
// JSON, Markdown, and the fields of the debugger's !analyze -v.
//
// It adds no judgement. Reports hold English formats; translate.go finds the
// words of other languages.
package render

import (
	"encoding/json"
	"fmt"
	"io"

	"bugcheck/report"
	"bugcheck/win"
)

// Options of the formats for people.
type Options struct {
	Lang  win.Lang // English if empty
	Color bool     // ANSI colours, for terminals
	All   bool     // every driver and frame, not only those that matter
}

// JSON writes the report as one JSON object; indented unless it is one of many.
func JSON(w io.Writer, r *report.Report, lang win.Lang, indent bool) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	if indent {
		e.SetIndent("", "  ")
	}
	if err := e.Encode(translateReport(r, lang)); err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	return nil
}
