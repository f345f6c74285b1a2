package analyze

import (
	"errors"
	"slices"
	"strings"

	"bugcheck/kernel"
	"bugcheck/report"
	"bugcheck/symbols"
)

// symbolState says what names and callers rest on, and what is missing for more.
func symbolState(m *kernel.Machine, stack []report.Frame, v *report.Verdict) *report.Symbols {
	if len(m.Drivers) == 0 {
		return nil
	}
	if !m.Searched() {
		note := report.T("No symbols were used: names end at the module.")
		if slices.ContainsFunc(stack, func(f report.Frame) bool { return f.Trust == report.TrustScan }) {
			note = report.T("No symbols were used: names end at the module, and callers are words found on the stack.")
		}
		return &report.Symbols{Note: note}
	}
	s := &report.Symbols{Path: m.SymbolPath}
	var sentences []report.Text
	if names := modulesWith(m, stack, isNameless); len(names) > 0 {
		sentences = append(sentences, report.T("No symbols for %s: their names end at the module.", someOf(names)))
	}
	if names := modulesWith(m, stack, isScannedBehind); len(names) > 0 {
		sentences = append(sentences, report.T("No images of %s: their callers are words found on the stack.", someOf(names)))
	}
	if uncompared(m, v) {
		sentences = append(sentences, report.T("The code of %s could not be compared with its file: a wrong bit in memory would look the same.", v.Image))
	}
	s.Missing = missing(m)
	s.Note = joined(append(sentences, obstacles(m)...))
	return s
}

// uncompared reports a driver that is blamed for sure, of whose code nobody could see
// whether it is that of its file.
func uncompared(m *kernel.Machine, v *report.Verdict) bool {
	if v.Cause != report.CauseDriver || v.Confidence != report.High || !thirdParty(v.Image) {
		return false
	}
	found := m.SymbolsOf(v.Image)
	return found == nil || found.Lacks(symbols.Image)
}

// isNameless is a frame without a name whose module has no symbols.
func isNameless(m *kernel.Machine, stack []report.Frame, i int) bool {
	if stack[i].Symbol != "" || stack[i].Module == "" {
		return false
	}
	found := m.SymbolsOf(stack[i].Image)
	return found == nil || found.PDB == nil && found.ISF == nil
}

// isScannedBehind is a frame whose caller was looked for among words, since its
// module's image is not there.
func isScannedBehind(m *kernel.Machine, stack []report.Frame, i int) bool {
	if i+1 >= len(stack) || stack[i+1].Trust != report.TrustScan {
		return false
	}
	found := m.SymbolsOf(stack[i].Image)
	return stack[i].Module != "" && (found == nil || found.Lacks(symbols.Image))
}

// modulesWith lists the modules of the frames for which is holds, in their order.
func modulesWith(m *kernel.Machine, stack []report.Frame, is func(*kernel.Machine, []report.Frame, int) bool) []string {
	var names []string
	for i, f := range stack {
		if is(m, stack, i) && !slices.Contains(names, f.Module) {
			names = append(names, f.Module)
		}
	}
	return names
}

// shownModules is how many modules a sentence names.
const shownModules = 4

func someOf(names []string) report.Text {
	if len(names) <= shownModules {
		return report.T("%s", strings.Join(names, ", "))
	}
	return report.T("%s and %d more", strings.Join(names[:shownModules], ", "), len(names)-shownModules)
}

// missing lists the files that were looked for and not found, each once.
func missing(m *kernel.Machine) []string {
	var list []string
	eachMissing(m, func(q symbols.Request, _ error) { list = append(list, q.Name) })
	slices.Sort(list)
	return slices.Compact(list)
}

func eachMissing(m *kernel.Machine, yield func(symbols.Request, error)) {
	for i := range m.Modules {
		found := m.Symbols(i)
		if found == nil {
			continue
		}
		for j, q := range found.Missing {
			yield(q, found.Errs[j])
		}
	}
}

// obstacles says why files were not found, beyond that they are not there.
func obstacles(m *kernel.Machine) []report.Text {
	var servers, others []string
	offline := false
	eachMissing(m, func(q symbols.Request, err error) {
		var missing *symbols.NotFoundError
		if errors.As(err, &missing) {
			servers = append(servers, missing.Unreachable...)
			offline = offline || missing.Offline
		}
		if errors.Is(err, symbols.ErrMismatch) {
			others = append(others, q.Name)
		}
	})
	var list []report.Text
	if len(servers) > 0 {
		slices.Sort(servers)
		list = append(list, report.T("A symbol server could not be reached: %s.", strings.Join(slices.Compact(servers), ", ")))
	}
	if offline {
		list = append(list, report.T("Symbol servers were not asked (--offline)."))
	}
	if len(others) > 0 {
		slices.Sort(others)
		list = append(list, report.T("Files of another build were found for %s, and not used.", someOf(slices.Compact(others))))
	}
	return list
}

// joined puts sentences one behind the other.
func joined(list []report.Text) report.Text {
	switch len(list) {
	case 0:
		return report.Text{}
	case 1:
		return list[0]
	}
	return report.T("%s %s", list[0], joined(list[1:]))
}

// symbolsWord is what names in a module rest on.
func symbolsWord(found *symbols.Module) string {
	if found == nil {
		return report.SymbolsNone
	}
	return found.Status()
}
