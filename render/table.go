package render

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// table is a list of labels with their values, in two columns.
type table struct{ *tabwriter.Writer }

func newTable(w io.Writer) table { return table{tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)} }

// row adds one line; a value that is empty is left out.
func (t table) row(label, format string, args ...any) {
	if text := strings.TrimSpace(fmt.Sprintf(format, args...)); text != "" {
		fmt.Fprintf(t, "%s\t%s\n", label, text)
	}
}
