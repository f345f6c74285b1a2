package cab

import (
	"bytes"
	"compress/flate"
	"fmt"
	"io"

	"bugcheck/internal/le"
)

// frameSize is the most that one block unpacks to, bytes.
const frameSize = 0x8000

// decoder unpacks a folder block by block.
type decoder interface {
	next() ([]byte, error) // valid until the next call
}

// Methods of CFFOLDER.typeCompress, in its low four bits.
const (
	methodStored = 0
	methodMSZIP  = 1
	methodLZX    = 3
)

func (f *File) decoder(fold folder) (decoder, error) {
	b := &blocks{f: f, at: int64(fold.start), left: fold.blocks}
	switch fold.method & 0xf {
	case methodStored:
		return (*stored)(b), nil
	case methodMSZIP:
		return &mszip{blocks: b}, nil
	case methodLZX:
		return newLZX(b, int(fold.method>>8&0x1f))
	}
	return nil, wrong("the compression method %d is not known", fold.method&0xf)
}

// blocks reads the blocks of a folder one after another.
type blocks struct {
	f    *File
	at   int64
	left int
}

const blockHeader = 8

// block reads a CFDATA ([MS-CAB] 2.4): its data, and how many bytes come of it.
func (b *blocks) block() (data []byte, size int, err error) {
	if b.left == 0 {
		return nil, 0, wrong("its last block ends too early")
	}
	b.left--
	h, err := b.f.bytes(b.at, blockHeader+b.f.blockReserve)
	if err != nil {
		return nil, 0, err
	}
	packed, size := int(le.U16(h, 4)), int(le.U16(h, 6))
	if size == 0 || size > frameSize {
		return nil, 0, wrong("a block unpacks to %d bytes", size)
	}
	b.at += int64(len(h))
	data, err = b.f.bytes(b.at, packed)
	if err != nil {
		return nil, 0, err
	}
	b.at += int64(packed)
	if want := le.U32(h, 0); want != 0 && checksum(h[4:], checksum(data, 0)) != want {
		return nil, 0, wrong("a block has a wrong checksum")
	}
	return data, size, nil
}

// checksum is CSUMCompute of [MS-CAB] 3.1: the words' exclusive or; what is
// left over at the end counts as a big-endian number.
func checksum(b []byte, sum uint32) uint32 {
	for len(b) >= 4 {
		sum ^= le.U32(b, 0)
		b = b[4:]
	}
	var rest uint32
	for _, c := range b {
		rest = rest<<8 | uint32(c)
	}
	return sum ^ rest
}

// stored is a folder that is not compressed.
type stored blocks

func (s *stored) next() ([]byte, error) {
	data, size, err := (*blocks)(s).block()
	if err == nil && len(data) != size {
		err = wrong("a stored block of %d bytes should give %d", len(data), size)
	}
	return data, err
}

// mszip is a folder of deflate streams: every block starts a new one, which
// may refer to the 32 KiB before it ([MS-MCI] 2).
type mszip struct {
	*blocks
	inflate io.ReadCloser
	out     []byte // what the last block gave
	history [2][frameSize]byte
	turn    int
}

func (m *mszip) next() ([]byte, error) {
	data, size, err := m.block()
	if err != nil {
		return nil, err
	}
	if len(data) < 2 || string(data[:2]) != "CK" {
		return nil, wrong("a block has no signature CK")
	}
	in := bytes.NewReader(data[2:])
	if m.inflate == nil {
		m.inflate = flate.NewReader(in)
	} else if err := m.inflate.(flate.Resetter).Reset(in, m.out); err != nil {
		return nil, err
	}
	m.turn ^= 1
	out := m.history[m.turn][:size]
	if _, err := io.ReadFull(m.inflate, out); err != nil {
		return nil, fmt.Errorf("%w: deflate: %w", ErrFormat, err)
	}
	m.out = out
	return out, nil
}
