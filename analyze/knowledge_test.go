package analyze

import (
	"strings"
	"testing"
	"time"

	"bugcheck/report"
)

// TestJudge_Known: what is known of the loaded drivers is told where nobody is convicted,
// and convicts nobody.
func TestJudge_Known(t *testing.T) {
	at := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	kernel := []Frame{{Image: "ntoskrnl.exe", Module: "nt", Symbol: "MiDo", Trust: report.TrustContext}}
	for _, tt := range []struct {
		name   string
		f      Facts
		says   []string
		silent string
	}{
		{
			"two anti-virus products, one of them twice",
			Facts{Code: 0x50, Frames: kernel, Images: []Image{{Image: "aswsp.sys"}, {Image: "aswsnx.sys"}, {Image: "klif.sys"}, {Image: "wdfilter.sys"}}},
			[]string{"several anti-virus products are loaded: aswsp.sys (Avast), klif.sys (Kaspersky)"}, "aswsnx.sys",
		},
		{
			"one product and Windows' own",
			Facts{Code: 0x50, Frames: kernel, Images: []Image{{Image: "klif.sys"}, {Image: "wdfilter.sys"}}},
			nil, "several",
		},
		{
			"an old one, one of today, one whose date is none",
			Facts{Code: 0x50, At: at, Frames: kernel, Images: []Image{
				{Image: "vendor1.sys", Built: at.AddDate(-12, 0, 0)}, {Image: "vendor2.sys", Built: at.AddDate(-1, 0, 0)}, {Image: "vendor3.sys", Built: built(0x12345678)}, {Image: "ntfs.sys", Built: at.AddDate(-12, 0, 0)},
			}},
			[]string{"more than ten years old by the date in their header: vendor1.sys."}, "vendor2",
		},
		{
			"a driver with known holes",
			Facts{Code: 0x50, Frames: kernel, Images: []Image{{Image: "rtcore64.sys"}}},
			[]string{"known holes: rtcore64.sys."}, "",
		},
		{
			"one that left before pool was found damaged; a name that small dumps cut off is nobody's",
			Facts{Code: 0x13a, Parameters: [4]uint64{0x12}, Frames: kernel, Unloaded: []string{"NetworkPriva", "ntfs.sys", "klif.sys"}},
			[]string{"or klif.sys: it was unloaded before the crash"}, "NetworkPriva",
		},
		{
			"nothing where a driver is convicted",
			Facts{Code: 0xd1, Context: Context{Fault: true}, Frames: []Frame{{Image: "vendor1.sys", Module: "vendor1", Trust: report.TrustContext}}, Images: []Image{{Image: "aswsp.sys"}, {Image: "klif.sys"}}},
			nil, "several",
		},
		{
			"but of the convicted one it is",
			Facts{Code: 0xd1, Context: Context{Fault: true}, Frames: []Frame{{Image: "rtcore64.sys", Module: "rtcore64", Trust: report.TrustContext}}},
			[]string{"rtcore64.sys stands on a public list"}, "",
		},
	} {
		v := Judge(tt.f)
		said := ""
		for _, e := range v.Evidence {
			said += e.Fact.String() + "\n"
		}
		for _, a := range v.Alternatives {
			said += "or " + a.Image + ": " + a.Why.String() + "\n"
		}
		for _, want := range tt.says {
			if !strings.Contains(said, want) {
				t.Errorf("%s: nothing says %q:\n%s", tt.name, want, said)
			}
		}
		if tt.silent != "" && strings.Contains(said, tt.silent) {
			t.Errorf("%s: %q is told:\n%s", tt.name, tt.silent, said)
		}
		if v.Cause == report.CauseDriver && tt.f.Code != 0xd1 {
			t.Errorf("%s: %s is convicted", tt.name, v.Image)
		}
	}
}
