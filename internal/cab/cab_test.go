package cab_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"bugcheck/internal/cab"
	"bugcheck/internal/corpus"
)

// text makes bytes that repeat near and far, as symbol files do; calls makes
// the byte E8 frequent.
func text(n int, calls bool) []byte {
	rng := rand.New(rand.NewPCG(1, uint64(n)))
	b := make([]byte, 0, n+300)
	for len(b) < n {
		switch k := rng.IntN(10); {
		case k < 3 || len(b) < 100:
			for range 1 + rng.IntN(20) {
				b = append(b, byte(rng.NormFloat64()*20+100))
			}
		case k < 9:
			from := len(b) - 1 - rng.IntN(min(len(b)-1, 1<<(4+rng.IntN(17))))
			for range 2 + rng.IntN(200) {
				b = append(b, b[from])
				from++
			}
		case calls:
			b = binary.LittleEndian.AppendUint32(append(b, 0xe8), uint32(rng.IntN(2*n))-uint32(n))
		default:
			b = append(b, byte(rng.Uint32()))
		}
	}
	return b[:n]
}

type sample struct {
	name string
	cab  []byte
	want []byte // nil: ask the other reader
}

func samples(t testing.TB) []sample {
	small, large := text(70_000, false), text(300_001, false)
	calls := text(200_000, true)
	list := []sample{
		{"stored", cabinet("a.bin", len(large), 0, storedBlocks(large)), large},
		{"mszip", cabinet("a.bin", len(large), 1, mszipBlocks(t, large)), large},
		{"one byte", cabinet("a.bin", 1, 15<<8|3, lzxBlocks([]byte("x"), 15, 0, []lzxBlock{{1, 1}})), []byte("x")},
	}
	lzx := func(name string, data []byte, bits int, calls uint32, plan ...lzxBlock) {
		s := sample{name, cabinet("a.bin", len(data), uint16(bits<<8|3), lzxBlocks(data, bits, calls, plan)), data}
		if calls != 0 {
			s.want = nil
		}
		list = append(list, s)
	}
	lzx("verbatim", large, 21, 0, lzxBlock{1, 50_000})
	lzx("aligned", large, 18, 0, lzxBlock{2, 40_001})
	lzx("small window", large, 15, 0, lzxBlock{1, 90_000})
	lzx("uncompressed, even", small, 16, 0, lzxBlock{3, 10_000})
	lzx("uncompressed, odd, mixed", large, 17, 0, lzxBlock{3, 1001}, lzxBlock{1, 501}, lzxBlock{3, 40_001}, lzxBlock{2, 30_000}, lzxBlock{3, 5}, lzxBlock{1, 70_000}, lzxBlock{3, 33_333}, lzxBlock{2, 100_000})
	lzx("uncompressed to the end of a frame", large, 20, 0, lzxBlock{1, frame - 1}, lzxBlock{3, 1}, lzxBlock{1, frame}, lzxBlock{3, frame - 7}, lzxBlock{3, 7}, lzxBlock{2, 100_000})
	// A call at each distance from the end of a frame.
	tails := bytes.Clone(calls)
	for i := range 6 {
		for k := range 24 { // target 0
			tails[(i+1)*frame-24+k] = 0
		}
		tails[(i+1)*frame-14+2*i] = 0xe8
	}
	lzx("calls at the ends of frames", tails, 16, 200_000, lzxBlock{1, 60_000})
	lzx("calls", calls, 19, 200_000, lzxBlock{1, 60_000})
	lzx("calls, other size", calls, 21, 12_000_000, lzxBlock{2, 60_000}, lzxBlock{3, 10_001}, lzxBlock{1, 1000})
	return list
}

func unpack(t testing.TB, b []byte) ([]byte, error) {
	t.Helper()
	c, err := cab.Open(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	for _, m := range c.Members {
		if err := c.Unpack(&out, m, 1<<26); err != nil {
			return out.Bytes(), err
		}
	}
	return out.Bytes(), nil
}

func TestUnpack(t *testing.T) {
	for _, s := range samples(t) {
		t.Run(s.name, func(t *testing.T) {
			got, err := unpack(t, s.cab)
			if err != nil {
				t.Fatal(err)
			}
			if s.want != nil && !bytes.Equal(got, s.want) {
				t.Errorf("%d bytes, want %d; they differ from byte %d on", len(got), len(s.want), differ(got, s.want))
			}
		})
	}
}

func differ(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}

// TestUnpack_AgreesWithCabextract holds the writers of these tests and the
// readers against an independent reader.
func TestUnpack_AgreesWithCabextract(t *testing.T) {
	if _, err := exec.LookPath("cabextract"); err != nil {
		corpus.Missing(t, "cabextract is not installed")
	}
	for _, s := range samples(t) {
		t.Run(s.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "a.cab")
			if err := os.WriteFile(path, s.cab, 0o600); err != nil {
				t.Fatal(err)
			}
			want, err := exec.Command("cabextract", "-q", "-p", path).Output()
			if err != nil {
				t.Fatalf("cabextract: %v", err)
			}
			got, err := unpack(t, s.cab)
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%d bytes, %v; cabextract gives %d; they differ from byte %d on", len(got), err, len(want), differ(got, want))
			}
		})
	}
}

// TestUnpack_Gcab reads what an independent writer made: two files in one
// folder.
func TestUnpack_Gcab(t *testing.T) {
	if _, err := exec.LookPath("gcab"); err != nil {
		corpus.Missing(t, "gcab is not installed")
	}
	dir := t.TempDir()
	want := map[string][]byte{"one.bin": text(100_000, true), "two.bin": text(123_457, false)}
	for name, b := range want {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, zip := range []string{"-z", "-n"} {
		cmd := exec.Command("gcab", "-c", zip, "out.cab", "one.bin", "two.bin")
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("gcab: %v: %s", err, out)
		}
		b, err := os.ReadFile(filepath.Join(dir, "out.cab"))
		if err != nil {
			t.Fatal(err)
		}
		c, err := cab.Open(bytes.NewReader(b), int64(len(b)))
		if err != nil || len(c.Members) != 2 {
			t.Fatalf("gcab %s: %v, %v", zip, c, err)
		}
		for _, m := range c.Members {
			var got bytes.Buffer
			if err := c.Unpack(&got, m, 1<<20); err != nil || !bytes.Equal(got.Bytes(), want[m.Name]) {
				t.Errorf("gcab %s: %s: %v, %d bytes, want %d", zip, m.Name, err, got.Len(), len(want[m.Name]))
			}
		}
	}
}

func TestUnpack_LimitIsKept(t *testing.T) {
	b := cabinet("a.bin", 5000, 0, storedBlocks(make([]byte, 5000)))
	c, err := cab.Open(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Unpack(&bytes.Buffer{}, c.Members[0], 4999); !errors.Is(err, cab.ErrTooLarge) {
		t.Errorf("5000 bytes where 4999 are allowed: %v", err)
	}
	if err := c.Unpack(&bytes.Buffer{}, c.Members[0], 5000); err != nil {
		t.Errorf("5000 bytes where 5000 are allowed: %v", err)
	}
}

// TestUnpack_EveryByteCounts changes bytes of each sample: the result is an
// error or what it was, never other bytes.
func TestUnpack_EveryByteCounts(t *testing.T) {
	for _, s := range samples(t) {
		whole, err := unpack(t, s.cab)
		if err != nil {
			t.Fatal(err)
		}
		rng := rand.New(rand.NewPCG(2, 3))
		for range 40 {
			at := rng.IntN(len(s.cab))
			b := bytes.Clone(s.cab)
			b[at] ^= byte(1 + rng.IntN(255))
			got, err := unpack(t, b)
			if err == nil && !bytes.Equal(got, whole) && at > 0x50 {
				t.Errorf("%s: byte 0x%x changed: other bytes and no error", s.name, at)
			}
			if err != nil && !errors.Is(err, cab.ErrFormat) && !errors.Is(err, cab.ErrTooLarge) {
				t.Errorf("%s: byte 0x%x changed: %v does not wrap ErrFormat", s.name, at, err)
			}
		}
		for _, n := range []int{0, 3, 0x20, 0x30, 0x40, len(s.cab) / 2, len(s.cab) - 1} {
			if _, err := unpack(t, s.cab[:n]); !errors.Is(err, cab.ErrFormat) {
				t.Errorf("%s cut to %d bytes: %v", s.name, n, err)
			}
		}
	}
}

// FuzzUnpack changes a sample where the fuzzer says, and mends the checksums,
// so that the decompressors see the damage.
func FuzzUnpack(f *testing.F) {
	data := text(3000, true)
	seeds := [][]byte{
		cabinet("a", len(data), 0, storedBlocks(data)),
		cabinet("a", len(data), 1, mszipBlocks(f, data)),
		cabinet("a", len(data), 15<<8|3, lzxBlocks(data, 15, 3000, []lzxBlock{{1, 900}, {3, 301}, {2, 3000}})),
		cabinet("a", len(data), 21<<8|3, lzxBlocks(data, 21, 0, []lzxBlock{{2, 3000}})),
	}
	for _, s := range seeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 0x50 {
			b = bytes.Clone(b)
			if at := int(binary.LittleEndian.Uint32(b[0x24:])); at >= 0 && at+4 < len(b) {
				copy(b[at:], make([]byte, 4)) // zero: no checksum
			}
		}
		out, _ := unpack(t, b)
		if len(out) > len(b)*frame {
			t.Errorf("%d bytes of %d", len(out), len(b))
		}
	})
}

func BenchmarkLZX(b *testing.B) {
	data := text(2<<20, false)
	c := cabinet("a", len(data), 21<<8|3, lzxBlocks(data, 21, 12_000_000, []lzxBlock{{1, 60_000}}))
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, err := unpack(b, c); err != nil {
			b.Fatal(err)
		}
	}
}
