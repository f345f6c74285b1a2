package render

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"bugcheck/analyze"
	"bugcheck/report"
	"bugcheck/win"
)

// The sweep: every stop code of the catalogue with every value that is documented for
// its parameters, judged and rendered in every format and language.

// typical are values that parameters have.
var typical = []uint64{
	0, 1, 2, 3, 8, 0x11, 0xc0000005, 0xffffffffc0000005, 0xc000009a, 0xc0000185, 0xffffa00d12345678, 0xfffff80312345678,
	0xffffb30c45d636e0, 0x7ff612345678, 0x00ff123456789abc, 0xffffffffffffffff, 0x30, 0x4e4f5644, 0x80050033,
}

// sweepParameters are the parameters to judge a code with: each documented value of
// parameter 1, or numbers of every kind.
func sweepParameters(code uint32, r *rand.Rand) [][4]uint64 {
	random := func() [4]uint64 {
		var p [4]uint64
		for i := range p {
			p[i] = typical[r.IntN(len(typical))]
		}
		return p
	}
	var list [][4]uint64
	for _, v := range win.English.Values(code) {
		p := random()
		if v.Parameter > 0 {
			p[v.Parameter-1] = v.Value
		}
		list = append(list, p)
	}
	for range 6 {
		list = append(list, random())
	}
	return list
}

// inPlace are the kinds that are no object to read.
var inPlace = map[string]bool{
	win.PointerCode: true, win.PointerTag: true, win.PointerStatus: true, win.PointerRecord: true, win.PointerContext: true,
	win.PointerTrap: true, win.PointerInstruction: true,
}

// sweepFacts are facts of a crash: with frames of each trust, and with objects for the
// parameters that point at some.
func sweepFacts(code uint32, p [4]uint64, r *rand.Rand) analyze.Facts {
	c, _ := win.English.Code(code)
	f := analyze.Facts{Arch: "x64", Build: 22621, RawCode: code, Code: win.BaseCode(code), Name: c.Name, Parameters: p,
		Images: []analyze.Image{{Image: "ntoskrnl.exe", Module: "nt"}, {Image: "vendor1.sys", Module: "vendor1"}, {Image: "nvlddmkm.sys", Module: "nvlddmkm"}},
		Frames: []analyze.Frame{{Image: "ntoskrnl.exe", Module: "nt", Symbol: "KeBugCheckEx", Trust: report.TrustContext}}}
	trust := []string{report.TrustUnwind, report.TrustScan}[r.IntN(2)]
	if r.IntN(3) > 0 {
		f.Frames = append(f.Frames, analyze.Frame{Image: "vendor1.sys", Module: "vendor1", Offset: 0x1234, Trust: trust})
	}
	drivers := []string{"", "vendor2.sys", "disk.sys"}
	for i := range f.Places {
		if p[i]>>44 == 0xfffff {
			image := drivers[1+r.IntN(2)]
			f.Places[i] = analyze.Place{Kind: analyze.PlaceModule, Image: image, Module: strings.TrimSuffix(image, ".sys"), Offset: 0x40}
		}
	}
	for _, pointer := range win.Pointers(f.Code, p[0]) {
		if inPlace[pointer.Kind] {
			continue
		}
		driver := drivers[r.IntN(3)]
		o := analyze.Pointed{Parameter: pointer.Parameter, Kind: pointer.Kind, Driver: driver, Name: []string{"", "100%s"}[r.IntN(2)],
			What: "IRP_MJ_READ", Stack: drivers[1 : 1+r.IntN(3)], Process: "a.exe", Thread: uint64(r.IntN(2)) * 4}
		if pointer.Kind == win.PointerObject {
			o.Counts = &analyze.Counts{References: int64(r.IntN(3) - 1)}
		}
		f.Pointed = append(f.Pointed, o)
	}
	return f
}

// sweepReport is a report of a verdict, with what the catalogue says of the code.
func sweepReport(f *analyze.Facts, v report.Verdict) *report.Report {
	c, _ := win.English.Code(f.Code)
	b := &report.Bugcheck{Code: report.Hex32(f.RawCode), Name: c.Name, Meaning: report.T(c.Meaning)}
	for i, p := range f.Parameters {
		b.Parameters = append(b.Parameters, report.Parameter{Value: report.Hex(p), Meaning: report.T(c.Parameters[i])})
	}
	return &report.Report{Schema: 1, Dump: report.Dump{File: "a.dmp", Kind: "triage", Architecture: "x64"}, Bugcheck: b, Verdict: v}
}

// rendered is a report in every format and language.
func rendered(t *testing.T, r *report.Report) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, lang := range []win.Lang{win.English, win.Japanese} {
		for format, write := range map[string]func(*bytes.Buffer) error{
			"text":     func(b *bytes.Buffer) error { return Text(b, r, Options{Lang: lang}) },
			"markdown": func(b *bytes.Buffer) error { return Markdown(b, r, Options{Lang: lang}) },
			"json":     func(b *bytes.Buffer) error { return JSON(b, r, lang, false) },
			"windbg":   func(b *bytes.Buffer) error { return WinDbg(b, r) },
		} {
			var b bytes.Buffer
			if err := write(&b); err != nil {
				t.Errorf("0x%x, %s %s: %v", r.Bugcheck.Code, format, lang, err)
			}
			all[format+" "+string(lang)] = b.String()
		}
	}
	return all
}

// sentencesOf are all that a verdict says.
func sentencesOf(v report.Verdict) []report.Text {
	list := append([]report.Text{v.Summary}, v.NextSteps...)
	for _, e := range v.Evidence {
		list = append(list, e.Fact, e.Source)
	}
	for _, a := range v.Alternatives {
		list = append(list, a.Why)
	}
	return list
}

// untranslated finds a sentence in s that has no Japanese form.
func untranslated(s report.Text) string {
	tr, missing := translator(win.Japanese), ""
	s.In(func(format string) string {
		if format != "%s" && tr(format) == "" {
			missing = format
		}
		return ""
	})
	return missing
}

// maxSaid is more than a person reads of one crash.
const maxSaid = 30

func TestSweep(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	n := 0
	for _, c := range win.English.Codes() {
		for _, p := range sweepParameters(c.Code, r) {
			f := sweepFacts(c.Code, p, r)
			v := analyze.Judge(f)
			n++
			where := fmt.Sprintf("0x%x (0x%x, 0x%x, 0x%x, 0x%x)", c.Code, p[0], p[1], p[2], p[3])
			if again := analyze.Judge(f); !reflect.DeepEqual(v, again) {
				t.Errorf("%s: another verdict the second time", where)
			}
			checkVerdict(t, where, v)
			if n%7 != 0 { // rendering takes most of the time
				continue
			}
			first, second := rendered(t, sweepReport(&f, v)), rendered(t, sweepReport(&f, v))
			for format, s := range first {
				if strings.Contains(s, "%!") || s == "" || second[format] != s {
					t.Errorf("%s: %s:\n%s", where, format, s)
				}
			}
		}
	}
	if n < 3000 {
		t.Errorf("%d cases", n)
	}
}

func checkVerdict(t *testing.T, where string, v report.Verdict) {
	t.Helper()
	if v.Summary.IsZero() || v.Cause == "" || v.Confidence == "" || len(v.NextSteps) == 0 {
		t.Errorf("%s: summary %q, cause %q, confidence %q, %d steps", where, v.Summary, v.Cause, v.Confidence, len(v.NextSteps))
	}
	if len(v.Evidence) > maxSaid || len(v.NextSteps) > maxSaid || len(v.Alternatives) > maxSaid {
		t.Errorf("%s: %d facts, %d steps, %d alternatives", where, len(v.Evidence), len(v.NextSteps), len(v.Alternatives))
	}
	said := map[string]bool{}
	for _, e := range v.Evidence {
		if line := e.Source.String() + ": " + e.Fact.String(); said[line] {
			t.Errorf("%s: said twice: %s", where, line)
		} else {
			said[line] = true
		}
	}
	for _, s := range sentencesOf(v) {
		if en := s.String(); en == "" || strings.Contains(en, "%!") {
			t.Errorf("%s: %q", where, en)
		}
		if missing := untranslated(s); missing != "" {
			t.Errorf("%s: no Japanese for %q", where, missing)
		}
	}
}
