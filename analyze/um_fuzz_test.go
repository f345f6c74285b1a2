package analyze_test

import (
	"bytes"
	"testing"

	"bugcheck/analyze"
	"bugcheck/dump"
	"bugcheck/internal/damage"
	"bugcheck/kernel"
	"bugcheck/lab"
)

// FuzzUserReport patches one of the lab's dumps of programs and cuts it; whatever
// opens gets a report with a verdict.
func FuzzUserReport(f *testing.F) {
	var files [][]byte
	for _, b := range []*lab.Build{lab.Windows19041, lab.Windows17763X86, lab.Windows22000ARM64} {
		for _, make := range []func(*lab.Build) *lab.UserDump{lab.NullRead, lab.StackExhaustion, lab.UncaughtCPP, lab.HeapCorruption, lab.UnloadedCode, lab.InPageError, lab.Hang} {
			d := make(b)
			d.Regions = []lab.UserRegion{{Base: 0x10000, Size: 0x2000, State: dump.MemCommit, Protect: 0x20}}
			file, err := d.Bytes()
			if err != nil {
				f.Fatal(err)
			}
			files = append(files, file)
			f.Add(uint8(len(files)-1), uint32(0), []byte{})
			f.Add(uint8(len(files)-1), uint32(len(file)/3), []byte{})
			for at := 0x20; at < 0xc0; at += 12 {
				f.Add(uint8(len(files)-1), uint32(0), damage.Patch(at+8, 0x40))
			}
		}
	}
	f.Fuzz(func(t *testing.T, seed uint8, cut uint32, patches []byte) {
		b := files[int(seed)%len(files)]
		b = damage.Patched(b, patches)
		b = b[:len(b)-int(cut)%len(b)]
		file, err := dump.Open(bytes.NewReader(b), int64(len(b)))
		if err != nil || file.User == nil {
			return
		}
		r := analyze.Report(kernel.Open(file), "x.dmp", "test")
		if r.Verdict.Summary.String() == "" || r.Verdict.Cause == "" || r.Verdict.Confidence == "" || r.Bugcheck != nil {
			t.Errorf("verdict %+v, stop code %v", r.Verdict, r.Bugcheck)
		}
		if r.Verdict.Bucket != "" && r.Verdict.BucketHash != analyze.BucketHash("um", r.Verdict.Bucket) {
			t.Errorf("bucket %q with hash %s", r.Verdict.Bucket, r.Verdict.BucketHash)
		}
	})
}
