package render

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"bugcheck/report"
	"bugcheck/win"
)

// CodeList writes stop codes, a line each.
func CodeList(w io.Writer, codes []win.StopCode) error {
	for _, c := range codes {
		if _, err := fmt.Fprintf(w, "0x%08X  %s\n", c.Code, c.Name); err != nil {
			return err
		}
	}
	return nil
}

// TwoCodes writes which two stop codes a number can mean, by how it is read.
func TwoCodes(w io.Writer, number string, hexadecimal, decimal win.StopCode, opts Options) error {
	p := &page{opts: opts, tr: translator(opts.Lang)}
	first, second := fmt.Sprintf("0x%X", hexadecimal.Code), fmt.Sprintf("0x%X", decimal.Code)
	p.block("", "", p.say("%s can be read in two ways: %s %s (as a blue screen writes it) or %s %s (decimal, as event 41 writes it). Give %s or %s.",
		number, first, hexadecimal.Name, second, decimal.Name, first, second))
	for _, c := range []win.StopCode{hexadecimal, decimal} {
		p.heading(fmt.Sprintf("0x%08X %s", c.Code, c.Name))
		p.block("  ", "", c.Meaning)
	}
	_, err := io.WriteString(w, p.String())
	return err
}

// Explanation writes what a stop code means, its parameters as far as they are
// given, and what to do.
func Explanation(w io.Writer, c win.StopCode, parameters []uint64, steps []report.Text, opts Options) error {
	p := &page{opts: opts, tr: translator(opts.Lang)}
	p.line(p.paint(bold, fmt.Sprintf("0x%08X %s", c.Code, c.Name)))
	p.line("")
	for _, l := range wrap(c.Meaning, columns) {
		p.line(l)
	}
	if c.Live {
		p.line("")
		p.line(p.say("A live-dump code: Windows went on running."))
	}
	p.explainParameters(c, parameters)
	p.doList(steps)
	if len(parameters) == 0 {
		p.valueTable(c)
	}
	_, err := io.WriteString(w, p.String())
	return err
}

func (p *page) explainParameters(c win.StopCode, values []uint64) {
	p.heading(p.say("Stop code parameters"))
	for i, e := range explainedParameters(c, values, p.opts.Lang) {
		lead := fmt.Sprintf("  %d  ", i+1)
		if e.Value != nil {
			lead = fmt.Sprintf("  %d  %s  ", i+1, address(uint64(*e.Value)))
		}
		text := e.Meaning
		if e.Note != "" {
			text = p.say("%s: %s", text, e.Note)
		}
		p.block(lead, "", text)
	}
}

// valueTable lists the documented values of parameters.
func (p *page) valueTable(c win.StopCode) {
	values := p.opts.Lang.Values(c.Code)
	shown := -1
	for _, v := range values {
		if v.Parameter != shown {
			shown = v.Parameter
			title := p.say("Other values that Windows uses with this code")
			if shown > 0 {
				title = p.say("Values of parameter %d", shown)
			}
			p.heading(title)
		}
		p.block(fmt.Sprintf("  %-10s ", fmt.Sprintf("0x%x", v.Value)), "", v.Meaning)
	}
}

// explained is a parameter with what it says.
type explained struct {
	Value   *report.Hex `json:"value,omitempty"`
	Meaning string      `json:"meaning"`
	Note    string      `json:"note,omitempty"` // what this value says
}

func explainedParameters(c win.StopCode, values []uint64, lang win.Lang) []explained {
	list := make([]explained, 4)
	var others win.Value
	if len(values) > 0 {
		others, _ = lang.Value(c.Code, 1, values[0])
	}
	for i := range list {
		list[i].Meaning = c.Parameters[i]
		if others.Others[i] != "" {
			list[i].Meaning = others.Others[i]
		}
		if i >= len(values) {
			continue
		}
		v := report.Hex(values[i])
		list[i].Value = &v
		list[i].Note = says(c, i, values[i], lang)
	}
	return list
}

// says is what a parameter's value means: documented, or a status by its name.
func says(c win.StopCode, i int, v uint64, lang win.Lang) string {
	if val, ok := lang.Value(c.Code, i+1, v); ok {
		return val.Meaning
	}
	if v>>32 == 0 || v>>32 == 0xffffffff {
		if name := win.StatusName(uint32(v)); name != "" && uint32(v)>>30 >= 2 {
			return name
		}
	}
	return ""
}

// ExplanationJSON writes the same as one JSON object.
func ExplanationJSON(w io.Writer, c win.StopCode, parameters []uint64, opts Options) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(struct {
		Code       report.Hex32 `json:"code"`
		Name       string       `json:"name"`
		Live       bool         `json:"live"`
		Category   string       `json:"category"`
		Meaning    string       `json:"meaning"`
		Parameters []explained  `json:"parameters"`
	}{report.Hex32(c.Code), c.Name, c.Live, c.Category, strings.TrimSpace(c.Meaning), explainedParameters(c, parameters, opts.Lang)})
}
