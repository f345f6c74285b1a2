package dump_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"bugcheck/dump"
	"bugcheck/lab"
)

// head is n bytes that start with sig and go on with what looks like nothing.
func head(sig string, n int) []byte {
	b := bytes.Repeat([]byte{0x81, 0x02, 0xfe}, n/3+1)[:n]
	copy(b, sig)
	return b
}

// at is a head with sig at an offset.
func at(off int, sig string) []byte {
	b := head("", 0x1000)
	copy(b[off:], sig)
	return b
}

func TestIdentify(t *testing.T) {
	zeros := make([]byte, 0x1000)
	for _, tt := range []struct {
		name string
		head []byte
		size int64
		want string
	}{
		{"empty", nil, 0, "the file is empty"},
		{"32-bit cut", head("PAGEDUMP", 0xfff), 0xfff, "a 32-bit Windows kernel dump cut inside its header: 4095 of 4096 bytes"},
		{"64-bit cut", head("PAGEDU64", 0x1fff), 0x1fff, "a 64-bit Windows kernel dump cut inside its header: 8191 of 8192 bytes"},
		{"64-bit of 8 bytes", []byte("PAGEDU64"), 8, "a 64-bit Windows kernel dump cut inside its header: 8 of 8192 bytes"},
		{"page file", head("PAGEPAGE", 0x3000), 1 << 30, "a page file, or a dump that Windows did not finish: the signature PAGE stands without DUMP or DU64"},
		{"minidump", head("MDMP\x93\xa7", 0x1000), 0x1000, "a user-mode minidump"},
		{"ELF", head("\x7fELF", 0x1000), 0x1000, "an ELF file"},
		{"event log", head("ElfFile\x00", 0x1000), 0x1000, "an event log (EVTX), not a dump"},
		{"event log chunk", head("ElfChnk\x00", 0x1000), 0x1000, "a piece of an event log (EVTX)"},
		{"hibernation", head("HIBR", 0x1000), 0x1000, "a hibernation file"},
		{"hibernation, old", head("hibr", 0x1000), 0x1000, "a hibernation file"},
		{"hibernation, restoring", head("RSTR", 0x1000), 0x1000, "a hibernation file (hiberfil.sys) in use"},
		{"hibernation, waking", head("WAKE", 0x1000), 0x1000, "a hibernation file"},
		{"VMware 0", head("\xd0\xbe\xd2\xbe", 0x1000), 0x1000, "a VMware snapshot state"},
		{"VMware 1", head("\xd1\xbe\xd2\xbe", 0x1000), 0x1000, "a VMware snapshot state"},
		{"VMware 2", head("\xd2\xbe\xd2\xbe", 0x1000), 0x1000, "a VMware snapshot state"},
		{"VMware 3", head("\xd3\xbe\xd2\xbe", 0x1000), 0x1000, "a VMware snapshot state"},
		{"QEMU", head("QEVM", 0x1000), 0x1000, "a saved state of QEMU"},
		{"kdump", head("KDMP    ", 0x1000), 0x1000, "a compressed kdump"},
		{"LiME", head("EMiL", 0x1000), 0x1000, "a LiME memory image"},
		{"gzip", head("\x1f\x8b\x08", 0x1000), 0x1000, "a gzip archive"},
		{"zip", head("PK\x03\x04", 0x1000), 0x1000, "a zip archive"},
		{"empty zip", head("PK\x05\x06", 22), 22, "an empty zip archive"},
		{"7z", head("7z\xbc\xaf\x27\x1c", 0x1000), 0x1000, "a 7z archive"},
		{"xz", head("\xfd7zXZ\x00", 0x1000), 0x1000, "an xz archive"},
		{"zstd", head("\x28\xb5\x2f\xfd", 0x1000), 0x1000, "a zstd archive"},
		{"bzip2", head("BZh9", 0x1000), 0x1000, "a bzip2 archive; unpack it first"},
		{"RAR", head("Rar!\x1a\x07", 0x1000), 0x1000, "a RAR archive; unpack it first"},
		{"CAB", head("MSCF", 0x1000), 0x1000, "a cabinet file"},
		{"tar", at(257, "ustar\x0000"), 0x1000, "a tar archive; unpack it first"},
		{"PNG", head("\x89PNG\r\n\x1a\n", 0x1000), 0x1000, "a PNG image, not a dump"},
		{"JPEG", head("\xff\xd8\xff\xe0", 0x1000), 0x1000, "a JPEG image, not a dump"},
		{"PDF", head("%PDF-1.7", 0x1000), 0x1000, "a PDF document, not a dump"},
		{"program", head("MZ\x90\x00", 0x1000), 0x1000, "a Windows program or driver, not a dump"},
		{"PDB", head("Microsoft C/C++ MSF 7.00\r\n", 0x1000), 0x1000, "a symbol file (PDB), not a dump"},
		{"registry", head("regf", 0x1000), 0x1000, "a registry hive, not a dump"},
		{"VHDX", head("vhdxfile", 0x1000), 0x1000, "a virtual disk (VHDX)"},
		{"VHD", head("conectix", 0x1000), 0x1000, "a virtual disk (VHD)"},
		{"VMDK", head("KDMV", 0x1000), 0x1000, "a virtual disk (VMDK)"},
		{"NTFS", at(3, "NTFS    "), 0x1000, "a disk image (NTFS)"},
		{"BitLocker", head("-FVE-FS-", 0x1000), 0x1000, "an encrypted disk image (BitLocker)"},
		{"zeros", zeros, 1 << 20, "nothing but zeros at its start: a page file, or a dump that was never written"},
		{"text", []byte("BugCheck 1000007E, {...}\r\n"), 26, "a text file, not a dump"},
		{"UTF-16 text", []byte("\xff\xfeB\x00u\x00g\x00"), 8, "a text file, not a dump"},
		{"a few bytes", []byte{1, 2, 3}, 3, "too short for a dump: 3 bytes"},
		{"no signature", head("", 0x3000), 1 << 20, "no known signature: not a dump (raw memory, or an encrypted or damaged file)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := dump.Identify(tt.head, tt.size)
			if !strings.HasPrefix(got.Text, tt.want) || got.Kernel || got.Arch != "" {
				t.Errorf("Identify = %+v, want %q and no kernel dump", got, tt.want)
			}
			_, err := dump.Open(bytes.NewReader(tt.head), int64(len(tt.head)))
			var format *dump.FormatError
			if !errors.Is(err, dump.ErrFormat) || !errors.As(err, &format) || err.Error() == "" {
				t.Errorf("Open: %v, want a *FormatError", err)
			}
		})
	}
}

func TestIdentify_KernelDump(t *testing.T) {
	for _, b := range builds {
		want := dump.Identity{Text: "a 64-bit Windows kernel dump", Kernel: true, Arch: dump.X64}
		if arch(b) == dump.X86 {
			want = dump.Identity{Text: "a 32-bit Windows kernel dump", Kernel: true, Arch: dump.X86}
		}
		file := labBytes(t, lab.Machine(b))
		if got := dump.Identify(file[:0x3000], int64(len(file))); got != want {
			t.Errorf("%v: Identify = %+v, want %+v", b, got, want)
		}
	}
}

// DUMP_HEADER64.Attributes stands in clear text in an encrypted dump.
func TestIdentify_Encrypted(t *testing.T) {
	file := labBytes(t, lab.Machine(lab.Windows26100))
	for _, tt := range []struct {
		attributes uint32
		kernel     bool
	}{{0x100, false}, {0x108, false}, {0x300, true}, {0x8, true}, {0x45474150, true}} {
		put32(file, 0x1050, tt.attributes)
		got := dump.Identify(file, int64(len(file)))
		if got.Kernel != tt.kernel || strings.HasPrefix(got.Text, "an encrypted 64-bit") == tt.kernel {
			t.Errorf("attributes %#x: %+v, want kernel %v", tt.attributes, got, tt.kernel)
		}
		if _, err := dump.Open(bytes.NewReader(file), int64(len(file))); errors.Is(err, dump.ErrFormat) == tt.kernel {
			t.Errorf("attributes %#x: Open: %v", tt.attributes, err)
		}
	}
}

type brokenReader struct{ err error }

func (r brokenReader) ReadAt([]byte, int64) (int, error) { return 0, r.err }

// A file that cannot be read is not called "no dump".
func TestOpen_ReadError(t *testing.T) {
	_, err := dump.Open(brokenReader{io.ErrClosedPipe}, 1<<20)
	if !errors.Is(err, io.ErrClosedPipe) || errors.Is(err, dump.ErrFormat) {
		t.Errorf("Open: %v, want %v", err, io.ErrClosedPipe)
	}
}

// DumpType and Attributes say what kind it is. A map of physical pages does not
// stand behind these headers: a note says so.
func TestOpen_Kinds(t *testing.T) {
	for _, tt := range []struct {
		dumpType, attributes uint32
		want                 dump.Kind
	}{
		{1, 0, dump.Full}, {2, 0, dump.Kernel}, {4, 8, dump.Triage}, {5, 0, dump.Active}, {6, 0, dump.Kernel},
		{7, 0, dump.Automatic}, {9, 0, dump.Active}, {0xa, 0, dump.Full}, {2, 0x10, dump.Live}, {0xffff, 0, dump.Kernel},
	} {
		file := labBytes(t, lab.HighIRQLKernel(lab.Windows26100))
		put32(file, 0xf98, tt.dumpType)
		put32(file, 0x1050, tt.attributes)
		f := open(t, file)
		if f.Kind != tt.want || f.Header.BugCheckCode != 0xd1 {
			t.Errorf("type %d, attributes %#x: kind %q, code %#x; want %q, 0xd1", tt.dumpType, tt.attributes, f.Kind, f.Header.BugCheckCode, tt.want)
		}
		if headerOnly := len(f.Drivers) == 0 && len(f.Notes) == 1; headerOnly == (tt.want == dump.Triage) {
			t.Errorf("type %d: %d drivers, notes %v", tt.dumpType, len(f.Drivers), f.Notes)
		}
		walk(t, f)
	}
}
