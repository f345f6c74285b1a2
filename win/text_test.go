package win

import (
	"testing"
	"time"
)

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"amdppm.sys": "amdppm.sys", "日本.sys": "日本.sys", "a\x1b[31mb": "a\ufffd[31mb", "x\r\ny": "x\ufffd\ufffdy",
		"\u202egnp.exe": "\ufffdgnp.exe", "\xff\xfe": "\ufffd", "a\u200bb": "a\ufffdb",
	} {
		if got := Clean(in); got != want {
			t.Errorf("Clean(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestUTF16(t *testing.T) {
	for _, tt := range []struct {
		in   []byte
		want string
	}{
		{[]byte{'a', 0, 'b', 0, 0, 0, 'c', 0}, "ab"},
		{[]byte{'a', 0, 'b'}, "a"},
		{[]byte{0x00, 0xd8, 'x', 0}, "\ufffdx"}, // half a surrogate pair
		{nil, ""},
	} {
		if got := UTF16(tt.in); got != tt.want {
			t.Errorf("UTF16(% x) = %q, want %q", tt.in, got, tt.want)
		}
	}
}

func TestFileTime(t *testing.T) {
	want := time.Date(2021, 2, 21, 1, 38, 22, 987765700, time.UTC)
	if got, ok := FileTime(uint64(want.UnixNano())/100 + unixEpoch); !ok || !got.Equal(want) {
		t.Errorf("got %v, %v; want %v", got, ok, want)
	}
	for _, v := range []uint64{0, 1, 0x4547415045474150, ^uint64(0)} {
		if got, ok := FileTime(v); ok {
			t.Errorf("FileTime(0x%x) = %v, want no time", v, got)
		}
	}
}

func TestGUID_String(t *testing.T) {
	g := GUID{0x8f, 0x00, 0x5c, 0xbc, 0x3a, 0x1e, 0xd7, 0x44, 0x98, 0x8d, 0x86, 0xf6, 0x88, 0x4c, 0x67, 0x58}
	if got, want := g.String(), "{bc5c008f-1e3a-44d7-988d-86f6884c6758}"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestReleaseName(t *testing.T) {
	for _, tt := range []struct {
		build, product uint32
		exact          bool
		want           string
	}{
		{19042, ProductWorkstation, true, "Windows 10 20H2"},
		{19041, ProductWorkstation, true, "Windows 10 2004"},
		{19041, ProductWorkstation, false, "Windows 10 2004 to 22H2"},
		{17763, ProductServer, false, "Windows Server 2019"},
		{17763, ProductDomainController, true, "Windows Server 2019"},
		{17763, ProductWorkstation, true, "Windows 10 1809"},
		{20348, ProductServer, true, "Windows Server 2022"},
		{26100, ProductWorkstation, true, "Windows 11 24H2"},
		{26100, ProductServer, false, "Windows Server 2025"},
		{7601, ProductServer, false, "Windows Server 2008 R2 SP1"},
		{9600, ProductServer, false, "Windows Server 2012 R2"},
		{22000, ProductServer, true, "Windows Server"},
		{27891, ProductWorkstation, true, "Windows 11, build 27891"},
	} {
		if got := ReleaseName(tt.build, tt.product, tt.exact); got != tt.want {
			t.Errorf("ReleaseName(%d, %d, %v) = %q, want %q", tt.build, tt.product, tt.exact, got, tt.want)
		}
	}
}
