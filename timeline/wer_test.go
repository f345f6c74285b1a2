package timeline

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"
	"unicode/utf16"

	"bugcheck/lab/eventlog"
)

// wide is text as Report.wer has it: UTF-16 behind a mark.
func wide(s string) []byte {
	b := []byte{0xff, 0xfe}
	for _, c := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, c)
	}
	return b
}

func TestReadReport(t *testing.T) {
	text := "Version=1\r\nEventType=BlueScreen\r\nEventTime=" + fmt.Sprint(at(4).UnixNano()/100+116444736000000000) + "\r\nReportIdentifier=the-report\r\n" +
		"Response.BucketId=AV_myfault!unknown_function\r\nSig[0].Name=Code\r\nSig[0].Value=d1\r\n"
	for i, p := range parameters {
		text += fmt.Sprintf("Sig[%d].Name=Parameter %d\r\nSig[%d].Value=%x\r\n", i+1, i+1, i+1, p)
	}
	for name, b := range map[string][]byte{"UTF-16": wide(text), "bytes": []byte(text)} {
		l, err := ReadReport(bytes.NewReader(b), int64(len(b)), "Report.wer")
		if err != nil {
			t.Fatal(err)
		}
		if !l.File.From.Equal(at(4)) {
			t.Errorf("%s: of %v, want %v", name, l.File.From, at(4))
		}
		e := tell([]*Log{log(t, "System.evtx", eventlog.Options{}, crashed(at(0))...), l})
		if in := e.Incidents[0]; in.Bucket != "AV_myfault!unknown_function" {
			t.Errorf("%s: bucket %q", name, in.Bucket)
		}
	}
	for _, b := range [][]byte{nil, []byte("a text\nEventTypes=no\n"), wide("Version=1\r\n")} {
		if _, err := ReadReport(bytes.NewReader(b), int64(len(b)), "x"); !errors.Is(err, ErrNoReport) {
			t.Errorf("%q: got %v, want ErrNoReport", b, err)
		}
	}
}
