package archive

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/bodgit/sevenzip"
	"github.com/ulikunitz/xz/lzma"
)

// The 7z library allocates whatever dictionary a stream's properties name, up to
// 4 GiB for a file of a hundred bytes. These two methods take their place: the
// same decoders behind a bound. The dictionary need not be larger than what is
// unpacked.

var errDictionary = fmt.Errorf("its dictionary is larger than %d MiB; unpack it first", maxDictionary>>20)

var errProperties = errors.New("damaged compression properties")

// limitDictionaries puts the bounded decoders in the library's table.
var limitDictionaries = sync.OnceFunc(func() {
	sevenzip.RegisterDecompressor([]byte{0x03, 0x01, 0x01}, newLZMA)
	sevenzip.RegisterDecompressor([]byte{0x21}, newLZMA2)
})

// newLZMA takes the properties of LZMA: one byte of literal and position bits,
// four of dictionary size.
func newLZMA(properties []byte, size uint64, in []io.ReadCloser) (io.ReadCloser, error) {
	if len(properties) != 5 || len(in) != 1 {
		return nil, errProperties
	}
	dictionary := uint64(properties[1]) | uint64(properties[2])<<8 | uint64(properties[3])<<16 | uint64(properties[4])<<24
	capacity, err := boundedDictionary(dictionary, size)
	if err != nil {
		return nil, err
	}
	header := []byte{properties[0]}
	for i := range 4 {
		header = append(header, byte(capacity>>(8*i)))
	}
	for i := range 8 {
		header = append(header, byte(size>>(8*i)))
	}
	r, err := lzma.NewReader(io.MultiReader(bytes.NewReader(header), in[0]))
	if err != nil {
		return nil, err
	}
	return readCloser{r, in[0]}, nil
}

// readCloser reads what was unpacked and closes what it was unpacked from.
type readCloser struct {
	io.Reader
	io.Closer
}

// newLZMA2 takes the one byte that names the dictionary of LZMA2: 4 KiB to 4 GiB
// in steps of half a power of two.
func newLZMA2(properties []byte, size uint64, in []io.ReadCloser) (io.ReadCloser, error) {
	if len(properties) != 1 || properties[0] > 40 || len(in) != 1 {
		return nil, errProperties
	}
	p := uint64(properties[0])
	capacity, err := boundedDictionary((2|p&1)<<(p/2+11), size)
	if err != nil {
		return nil, err
	}
	r, err := lzma.Reader2Config{DictCap: int(capacity)}.NewReader2(in[0])
	if err != nil {
		return nil, err
	}
	return readCloser{r, in[0]}, nil
}

func boundedDictionary(dictionary, size uint64) (uint64, error) {
	need := max(min(dictionary, size), lzma.MinDictCap)
	if need > maxDictionary {
		return 0, errDictionary
	}
	return need, nil
}
