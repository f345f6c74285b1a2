package dump

import (
	"bytes"
	"fmt"

	"bugcheck/internal/le"
)

// Identity says what a file is by its first bytes.
type Identity struct {
	Text   string // "a 64-bit Windows kernel dump", "a PNG image"
	Kernel bool   // a kernel dump that Open can decode
	User   bool   // a user-mode minidump, which Open can decode
	Arch   Arch   // of a kernel dump: X86, or X64 for all 64-bit ones
}

// magic is a signature at an offset.
type magic struct {
	off  int
	sig  string
	text string
}

// magics are tried in order. Sources: the formats' own specifications; VMware
// and hibernation signatures as Volatility's layers document them.
var magics = []magic{
	{0, "\x7fELF", "an ELF file (a virtual machine's core dump?), not a dump that Windows wrote"},
	{0, "ElfFile\x00", "an event log (EVTX), not a dump"},
	{0, "ElfChnk\x00", "a piece of an event log (EVTX), not a dump"},
	{0, "HIBR", "a hibernation file (hiberfil.sys), not a crash dump"},
	{0, "hibr", "a hibernation file (hiberfil.sys), not a crash dump"},
	{0, "RSTR", "a hibernation file (hiberfil.sys) in use, not a crash dump"},
	{0, "WAKE", "a hibernation file (hiberfil.sys), not a crash dump"},
	{0, "\xd2\xbe\xd2\xbe", "a VMware snapshot state (vmss, vmsn); convert it with vmss2core first"},
	{0, "\xd0\xbe\xd2\xbe", "a VMware snapshot state (vmss, vmsn); convert it with vmss2core first"},
	{0, "\xd1\xbe\xd2\xbe", "a VMware snapshot state (vmss, vmsn); convert it with vmss2core first"},
	{0, "\xd3\xbe\xd2\xbe", "a VMware snapshot state (vmss, vmsn); convert it with vmss2core first"},
	{0, "QEVM", "a saved state of QEMU; make a dump with dump-guest-memory -w instead"},
	{0, "KDMP", "a compressed kdump of a virtual machine; make a dump with dump-guest-memory -w instead"},
	{0, "EMiL", "a LiME memory image, not a dump that Windows wrote"},
	{0, "\x1f\x8b", "a gzip archive"},
	{0, "PK\x03\x04", "a zip archive"},
	{0, "PK\x05\x06", "an empty zip archive"},
	{0, "7z\xbc\xaf\x27\x1c", "a 7z archive"},
	{0, "\xfd7zXZ\x00", "an xz archive"},
	{0, "\x28\xb5\x2f\xfd", "a zstd archive"},
	{0, "BZh", "a bzip2 archive; unpack it first"},
	{0, "Rar!", "a RAR archive; unpack it first"},
	{0, "MSCF", "a cabinet file (CAB); unpack it first"},
	{257, "ustar", "a tar archive; unpack it first"},
	{0, "\x89PNG", "a PNG image, not a dump"},
	{0, "\xff\xd8\xff", "a JPEG image, not a dump"},
	{0, "%PDF", "a PDF document, not a dump"},
	{0, "MZ", "a Windows program or driver, not a dump"},
	{0, "Microsoft C/C++ MSF", "a symbol file (PDB), not a dump"},
	{0, "regf", "a registry hive, not a dump"},
	{0, "vhdxfile", "a virtual disk (VHDX), not a dump"},
	{0, "conectix", "a virtual disk (VHD), not a dump"},
	{0, "KDMV", "a virtual disk (VMDK), not a dump"},
	{3, "NTFS    ", "a disk image (NTFS), not a dump"},
	{0, "-FVE-FS-", "an encrypted disk image (BitLocker), not a dump"},
}

// Identify tells what a file is from its first bytes and its size.
func Identify(head []byte, size int64) Identity {
	switch {
	case size == 0:
		return Identity{Text: "the file is empty"}
	case bytes.HasPrefix(head, []byte("PAGEDU64")):
		return identify64(head)
	case bytes.HasPrefix(head, []byte("PAGEDUMP")):
		if len(head) < header32Size {
			return Identity{Text: cut("32-bit", len(head), header32Size)}
		}
		return Identity{Text: "a 32-bit Windows kernel dump", Kernel: true, Arch: X86}
	case bytes.HasPrefix(head, []byte("MDMP")):
		return Identity{Text: "a user-mode minidump", User: true}
	case bytes.HasPrefix(head, []byte("PAGE")):
		return Identity{Text: "a page file, or a dump that Windows did not finish: the signature PAGE stands without DUMP or DU64"}
	}
	for _, m := range magics {
		if len(head) > m.off && bytes.HasPrefix(head[m.off:], []byte(m.sig)) {
			return Identity{Text: m.text}
		}
	}
	return Identity{Text: identifyRest(head, size)}
}

func identify64(head []byte) Identity {
	if len(head) < header64Size {
		return Identity{Text: cut("64-bit", len(head), header64Size)}
	}
	if encrypted(head) {
		return Identity{Text: "an encrypted 64-bit Windows kernel dump; decrypt it with the key of its DumpEncryption setting first"}
	}
	return Identity{Text: "a 64-bit Windows kernel dump", Kernel: true, Arch: X64}
}

func cut(bits string, have, want int) string {
	return fmt.Sprintf("a %s Windows kernel dump cut inside its header: %d of %d bytes", bits, have, want)
}

// encrypted reports the attribute EncryptedDumpData of DUMP_HEADER64. Windows
// sets it in clear text; the rest of the header is not usable then.
func encrypted(head []byte) bool {
	a := le.U32(head, 0x1050)
	return a != unset && a&attrEncrypted != 0 && a&attrDecrypted == 0
}

func identifyRest(head []byte, size int64) string {
	switch {
	case size < 8:
		return fmt.Sprintf("too short for a dump: %d bytes", size)
	case zeros(head):
		return "nothing but zeros at its start: a page file, or a dump that was never written"
	case looksLikeText(head):
		return "a text file, not a dump"
	case size < 0x1000:
		return fmt.Sprintf("no dump: %d bytes without a known signature", size)
	}
	return "no known signature: not a dump (raw memory, or an encrypted or damaged file)"
}

func zeros(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

func looksLikeText(b []byte) bool {
	if bytes.HasPrefix(b, []byte("\xff\xfe")) || bytes.HasPrefix(b, []byte("\xef\xbb\xbf")) {
		return true
	}
	for _, c := range b[:min(len(b), 512)] {
		if c < 9 || c > 13 && c < 32 || c == 127 {
			return false
		}
	}
	return true
}
