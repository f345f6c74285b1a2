package render

import (
	"sync"

	"bugcheck/report"
	"bugcheck/win"
)

// translator returns the function that finds a format's translation; nil for
// English.
func translator(lang win.Lang) func(string) string {
	if lang != win.Japanese {
		return nil
	}
	m := japanese()
	return func(format string) string { return m[format] }
}

// japanese maps every English format to its Japanese one: the sentences of the
// program, the catalogue of stop codes, and the names of drivers.
var japanese = sync.OnceValue(func() map[string]string {
	m := map[string]string{}
	for _, row := range win.Table("messages.ja", 2) {
		m[row[0]] = row[1]
	}
	for _, en := range win.English.Codes() {
		ja, _ := win.Japanese.Code(en.Code)
		m[en.Meaning] = ja.Meaning
		pairs(m, en.Parameters, ja.Parameters)
		values, translated := win.English.Values(en.Code), win.Japanese.Values(en.Code)
		for i := range min(len(values), len(translated)) {
			m[values[i].Meaning] = translated[i].Meaning
			pairs(m, values[i].Others, translated[i].Others)
		}
	}
	for _, row := range win.Table("happened", 3) {
		m[row[1]] = row[2]
	}
	for _, row := range win.Table("drivers", 6) {
		m[row[2]] = row[3]
	}
	return m
})

func pairs(m map[string]string, en, ja [4]string) {
	for i, s := range en {
		if s != "" {
			m[s] = ja[i]
		}
	}
}

// translateReport returns the report with every Text in the language.
func translateReport(r *report.Report, lang win.Lang) *report.Report {
	tr := translator(lang)
	if tr == nil {
		return r
	}
	say := func(t report.Text) report.Text {
		if t.IsZero() {
			return t
		}
		return report.Text{Format: t.In(tr)}
	}
	out := *r
	if r.Bugcheck != nil {
		b := *r.Bugcheck
		b.Meaning = say(b.Meaning)
		b.Parameters = nil
		for _, p := range r.Bugcheck.Parameters {
			p.Meaning, p.Note = say(p.Meaning), say(p.Note)
			b.Parameters = append(b.Parameters, p)
		}
		out.Bugcheck = &b
	}
	out.Verdict = translateVerdict(r.Verdict, say)
	if r.Symbols != nil {
		s := *r.Symbols
		s.Note = say(s.Note)
		out.Symbols = &s
	}
	out.Notes = nil
	for _, n := range r.Notes {
		out.Notes = append(out.Notes, report.Note{Where: say(report.T(n.Where)).String(), Text: say(n.Text)})
	}
	return &out
}

func translateVerdict(v report.Verdict, say func(report.Text) report.Text) report.Verdict {
	out := v
	out.Summary = say(v.Summary)
	out.Evidence, out.Alternatives, out.NextSteps = nil, nil, nil
	for _, e := range v.Evidence {
		e.Fact, e.Source = say(e.Fact), say(e.Source)
		out.Evidence = append(out.Evidence, e)
	}
	for _, a := range v.Alternatives {
		a.Why = say(a.Why)
		out.Alternatives = append(out.Alternatives, a)
	}
	for _, s := range v.NextSteps {
		out.NextSteps = append(out.NextSteps, say(s))
	}
	return out
}
