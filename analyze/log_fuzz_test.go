package analyze

import (
	"encoding/json"
	"strings"
	"testing"

	"bugcheck/windbglog"
)

// FuzzLogReport: whatever a text says, there is a report, it is JSON, and it has no
// control characters.
func FuzzLogReport(f *testing.F) {
	head := "Bugcheck Analysis\nBUGCHECK_CODE:  %\nArg1: c0000005, a\nArg2: fffff80511112222, b\nArg3: 8, c\nArg4: fffff80511112222, d\n"
	tail := "FAULTING_IP:\nexample+22\nfffff805`11112222 8b00 mov eax,[rax]\nIMAGE_NAME:  example.sys\nFAILURE_BUCKET_ID:  AV_example!unknown_function\nFAILURE_ID_HASH:  {1}\nFollowup: MachineOwner\n"
	for _, code := range []string{"a", "1e", "3b", "50", "7e", "7f", "9f", "c2", "c5", "d1", "ef", "101", "116", "124", "133", "139", "154", "1cc", "c0000142"} {
		f.Add([]byte(strings.Replace(head, "%", code, 1) + "STACK_TEXT:\nffffb000`00001000 fffff805`00000100 : 0 0 0 0 : nt!KeBugCheckEx\nffffb000`00001100 fffff805`00000200 : 0 0 0 0 : nt!KiPageFault+0x474\n" + tail))
		f.Add([]byte(strings.Replace(head, "%", code, 1) + "STACK_TEXT:\na1ba18c4 82a5dbe8 00000000 82037000 00000000 nt!KiTrap0E+0xdc\na1ba19f4 82d554d9 89886ac8 a48261c0 95cde5f0 vendor+0x1b\n" + tail))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, l := range windbglog.Parse(b) {
			j, err := json.Marshal(LogReport(&l, "a", int64(len(b)), "test"))
			if err != nil {
				t.Fatal(err)
			}
			if strings.ContainsAny(string(j), "\x1b\a") || strings.Contains(string(j), `\u001b`) {
				t.Errorf("control characters in %s", j)
			}
		}
	})
}
