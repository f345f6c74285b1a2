// Command labtable plays every fault of the lab in every dump format, on both
// architectures and two builds each, analyses the dumps with symbols and without,
// and prints which reports say what the lab knows: the table of docs/lab.md.
//
//	go run ./bench/labtable [-v] [KIND…]
package main

import (
	"flag"
	"fmt"
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
	flag.Parse()
	dir, err := os.MkdirTemp("", "labtable-")
	if err != nil {
		fail(err)
	}
	defer os.RemoveAll(dir)
	fmt.Printf("| fault | stop code | machine | %s |\n|---|---|---|%s\n", strings.Join(dumps, " | "), strings.Repeat("---|", len(dumps)))
	right, all := 0, 0
	for _, k := range lab.Kinds() {
		if flag.NArg() > 0 && !slices.Contains(flag.Args(), k.Name) {
			continue
		}
		for _, o := range machines {
			r, n, err := row(k, o, dir, *verbose)
			if err != nil {
				fail(err)
			}
			right, all = right+r, all+n
		}
	}
	fmt.Printf("\n%d of %d reports say what the lab knows.\n", right, all)
	if right < all {
		os.RemoveAll(dir)
		os.Exit(1)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "labtable:", err)
	os.Exit(1)
}

// row prints a line of the table: a cell says what is right without symbols and
// with them.
func row(k lab.Kind, o lab.Options, dir string, verbose bool) (right, all int, err error) {
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
	fmt.Printf("| %s | 0x%X | %s %d | %s |\n", k.Name, b.Crash.Code, o.Arch, o.Build, strings.Join(cells, " | "))
	if verbose {
		for _, d := range details {
			fmt.Println(d)
		}
	}
	return right, all, nil
}
