// Command labtable plays every fault of the lab in every dump format, on both
// architectures and two builds each, analyses the dumps with symbols and without,
// and prints which reports say what the lab knows: the table of docs/lab.md.
//
//	go run ./bench/labtable [-v] [-o docs/lab.md] [-check docs/lab.md] [KIND…]
//
// -o writes the table into the page, -check fails where the page has another.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"bugcheck/internal/labcheck"
	"bugcheck/lab"
	"bugcheck/report"
)

// dumps are the kinds of dumps in the table's columns.
var dumps = []string{"full", "kernel", "active", "small", "live"}

// machines are two builds an architecture.
var machines = []lab.Options{
	{Arch: "x64", Build: 17763}, {Arch: "x64", Build: 26100}, {Arch: "arm64", Build: 22000}, {Arch: "arm64", Build: 26100},
}

func main() {
	verbose := flag.Bool("v", false, "say what differs")
	output := flag.String("o", "", "write the table into `FILE`")
	check := flag.String("check", "", "fail if `FILE` has another table")
	flag.Parse()
	var table strings.Builder
	dir, err := os.MkdirTemp("", "labtable-")
	if err != nil {
		fail(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	fmt.Fprintf(&table, "| fault | stop code | machine | %s |\n|---|---|---|%s\n", strings.Join(dumps, " | "), strings.Repeat("---|", len(dumps)))
	right, all := 0, 0
	for _, k := range lab.Kinds() {
		if flag.NArg() > 0 && !slices.Contains(flag.Args(), k.Name) {
			continue
		}
		for _, o := range machines {
			r, n, err := row(&table, k, o, dir, *verbose)
			if err != nil {
				fail(err)
			}
			right, all = right+r, all+n
		}
	}
	fmt.Fprintf(&table, "\n%d of %d reports say what the lab knows.\n", right, all)
	fmt.Print(table.String())
	if *output != "" {
		err = place(*output, table.String())
	}
	if *check != "" {
		err = same(*check, table.String())
	}
	if err == nil && right < all {
		err = fmt.Errorf("%d reports are wrong", all-right)
	}
	if err != nil {
		_ = os.RemoveAll(dir)
		fail(err)
	}
}

// The marks in a page between which the table stands.
const (
	begin = "<!-- labtable -->\n"
	end   = "<!-- /labtable -->"
)

// split takes a page apart: before the table, the table, behind it.
func split(name string) (before, table, after string, err error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return "", "", "", err
	}
	before, rest, ok := strings.Cut(string(b), begin)
	table, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		return "", "", "", fmt.Errorf("%s has no place for the table", name)
	}
	return before + begin, table, end + after, nil
}

func place(name, table string) error {
	before, _, after, err := split(name)
	if err != nil {
		return err
	}
	return os.WriteFile(name, []byte(before+table+after), 0o644)
}

func same(name, table string) error {
	_, old, _, err := split(name)
	if err == nil && old != table {
		err = fmt.Errorf("the table in %s is not current: go run ./bench/labtable -o %s", name, name)
	}
	return err
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "labtable:", err)
	os.Exit(1)
}

// row prints a line of the table: a cell says what is right without symbols and
// with them.
func row(table io.Writer, k lab.Kind, o lab.Options, dir string, verbose bool) (right, all int, err error) {
	b, err := labcheck.New(k.Name, o, dir)
	if err != nil {
		return 0, 0, err
	}
	defer b.Close()
	var cells, details []string
	for _, d := range dumps {
		cell := ""
		for _, symbols := range []bool{false, true} {
			r, err := b.Report(d, symbols)
			if err != nil {
				return 0, 0, err
			}
			all++
			wrong := labcheck.Compare(b.Crash.TruthOf(d), r, d, symbols)
			if len(wrong) == 0 {
				right++
				if labcheck.Undecided(r, d, symbols) && b.Crash.Truth.Verdict.Cause != report.CauseUnknown {
					cell += "~"
				} else {
					cell += "✓"
				}
				continue
			}
			cell += "✗"
			for _, w := range wrong {
				details = append(details, fmt.Sprintf("    %s, symbols %v: %s", d, symbols, w))
			}
		}
		cells = append(cells, cell)
	}
	fmt.Fprintf(table, "| %s | 0x%X | %s %d | %s |\n", k.Name, b.Crash.Code, o.Arch, o.Build, strings.Join(cells, " | "))
	if verbose {
		for _, d := range details {
			fmt.Fprintf(os.Stderr, "%s %s %d%s\n", k.Name, o.Arch, o.Build, d)
		}
	}
	return right, all, nil
}
