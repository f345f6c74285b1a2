package lab

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// TestUserDump_Bytes: the header's words, and equal recipes give equal bytes.
func TestUserDump_Bytes(t *testing.T) {
	for _, b := range Builds() {
		for _, make := range []func(*Build) *UserDump{NullRead, StackExhaustion, FastFailExit, HeapCorruption, UncaughtCPP, InPageError, UnloadedCode, Hang} {
			first, err := make(b).Bytes()
			if err != nil {
				t.Fatal(err)
			}
			second, _ := make(b).Bytes()
			if !bytes.Equal(first, second) {
				t.Errorf("%v: two dumps of one recipe differ", b)
			}
			if !bytes.HasPrefix(first, []byte("MDMP\x93\xa7\x00\x00")) || binary.LittleEndian.Uint32(first[0xc:]) != 0x20 {
				t.Errorf("%v: the header is %x", b, first[:0x20])
			}
			for at := 0x20; at < 0x20+userDirectory*0xc; at += 0xc {
				size, rva := binary.LittleEndian.Uint32(first[at+4:]), binary.LittleEndian.Uint32(first[at+8:])
				if uint64(size)+uint64(rva) > uint64(len(first)) {
					t.Errorf("%v: stream at %#x has %d bytes at %#x of a file of %d", b, at, size, rva, len(first))
				}
			}
		}
	}
}

// TestUserDump_Refused: what no file can hold is an error.
func TestUserDump_Refused(t *testing.T) {
	for name, spoil := range map[string]func(*UserDump){
		"no build":            func(d *UserDump) { d.Build = nil },
		"thread out of range": func(d *UserDump) { d.Faulting = 7 },
		"too many streams":    func(d *UserDump) { d.Streams = make([]UserStream, userDirectory) },
		"too large":           func(d *UserDump) { d.Memory = []Block{{Data: make([]byte, maxFile)}} },
	} {
		d := NullRead(Windows19041)
		spoil(d)
		if _, err := d.Bytes(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
