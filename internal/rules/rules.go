// Package rules turns a user's rule file into known issues and owners on a
// finished report: what an organisation knows and no dump says. A rule is a
// condition over the report (an expression of CEL, https://cel.dev) with the issue
// or the owner that it names; docs/rules.md describes the file.
//
// It judges nothing and changes no verdict: it works behind analyze, on the fields
// of the JSON contract (docs/report.md), so that Judge stays a function of the
// crash alone and a rule can be tried on a report that was kept. It lies in a layer
// above analyze for that reason, and below internal because only the programs that
// print reports need it.
//
// The idea is that of the debugger's triage.ini, which maps module!function to an
// owner
// (https://learn.microsoft.com/windows-hardware/drivers/debugger/specifying-module-and-function-owners),
// and of the lists that Mozilla's Socorro keeps beside its code and tests in CI
// (https://socorro.readthedocs.io/en/latest/signaturegeneration.html).
package rules

import (
	"errors"
	"slices"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/interpreter"

	"bugcheck/report"
	"bugcheck/win"
)

// Set is a rule file that was understood; nil is no rules. It is safe for
// concurrent use.
type Set struct{ rules []*rule }

// rule is one entry of the file.
type rule struct {
	name  string
	line  int // where it begins, from 1
	when  cel.Program
	issue *issue
	owner string
	tests []example
}

// issue is what a rule says of a crash.
type issue struct {
	name, advice words
	link         string
}

// words are a text in the languages that its author wrote; at least one.
type words map[win.Lang]string

// in is the text in a language, else in English, else in the other.
func (w words) in(lang win.Lang) string {
	for _, l := range []win.Lang{lang, win.English, win.Japanese} {
		if s := w[l]; s != "" {
			return s
		}
	}
	return ""
}

// Len is the number of rules.
func (s *Set) Len() int { return len(s.rules) }

// Apply adds to a report what the rules that match say, in the order of the file.
// A rule that fails adds a note and nothing else.
func (s *Set) Apply(r *report.Report, lang win.Lang) {
	if s == nil || len(s.rules) == 0 {
		return // making a view costs more than a millisecond
	}
	v, err := viewOf(r)
	if err != nil {
		r.Notes = append(r.Notes, note("user rules", "no rule was tried on this report: %s", win.Clean(err.Error())))
		return
	}
	for _, rule := range s.rules {
		switch yes, err := rule.matches(v); {
		case err != nil:
			r.Notes = append(r.Notes, note("user rules", "the rule %s could not be evaluated: %s", rule.name, win.Clean(err.Error())))
		case yes:
			rule.apply(r, lang)
		}
	}
}

func note(where, format string, args ...any) report.Note {
	return report.Note{Where: where, Text: report.T(format, args...)}
}

func (r *rule) apply(to *report.Report, lang win.Lang) {
	if r.issue != nil {
		to.KnownIssues = append(to.KnownIssues, report.KnownIssue{
			Name: r.issue.name.in(lang), Link: r.issue.link, Advice: r.issue.advice.in(lang), Rule: r.name,
		})
	}
	if v := &to.Verdict; r.owner != "" && !slices.Contains(v.Owners, r.owner) {
		v.Owners = append(v.Owners, r.owner)
	}
}

// matches reports whether the condition holds. What depends on a field that the
// report does not have is not known: it does not hold, and is no error.
func (r *rule) matches(v view) (bool, error) {
	out, _, err := r.when.Eval(v.variables())
	var absent *absentError
	var stopped interpreter.EvalCancelledError
	switch {
	case errors.As(err, &absent):
		return false, nil
	case errors.As(err, &stopped) && stopped.Cause == interpreter.CostLimitExceeded:
		return false, errCost
	case err != nil:
		return false, err
	}
	yes, ok := out.Value().(bool)
	return ok && yes, nil
}

// errCost is a condition that was stopped.
var errCost = errors.New("it takes more steps than a rule may")

// Match lists the names of the rules that hold for a report in JSON, and what went
// wrong with others.
func (s *Set) Match(reportJSON []byte) (names []string, failed []error, err error) {
	v, err := decodeView(reportJSON)
	if err != nil {
		return nil, nil, err
	}
	for _, rule := range s.rules {
		switch yes, err := rule.matches(v); {
		case err != nil:
			failed = append(failed, &ruleError{rule.name, err})
		case yes:
			names = append(names, rule.name)
		}
	}
	return names, failed, nil
}

// ruleError says which rule could not be evaluated.
type ruleError struct {
	rule string
	err  error
}

func (e *ruleError) Error() string { return "rule " + e.rule + ": " + win.Clean(e.err.Error()) }

func (e *ruleError) Unwrap() error { return e.err }
