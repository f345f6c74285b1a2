package labcheck

import (
	"io"
	"sync"
)

// File is a sparse file in memory: what a dump of a machine with gigabytes of
// zeros is written to and read from.
type File struct {
	mu     sync.RWMutex
	size   int64
	chunks map[int64][]byte
}

const chunkSize = 1 << 16

// Size is the size of the file in bytes, holes among them.
func (f *File) Size() int64 { return f.size }

// Truncate sets the size.
func (f *File) Truncate(size int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for n := range f.chunks {
		if n*chunkSize >= size {
			delete(f.chunks, n)
		}
	}
	f.size = size
	return nil
}

// WriteAt implements io.WriterAt.
func (f *File) WriteAt(p []byte, off int64) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.chunks == nil {
		f.chunks = map[int64][]byte{}
	}
	for done := 0; done < len(p); {
		n, at := (off+int64(done))/chunkSize, (off+int64(done))%chunkSize
		if f.chunks[n] == nil {
			f.chunks[n] = make([]byte, chunkSize)
		}
		done += copy(f.chunks[n][at:], p[done:])
	}
	f.size = max(f.size, off+int64(len(p)))
	return len(p), nil
}

// ReadAt implements io.ReaderAt.
func (f *File) ReadAt(p []byte, off int64) (int, error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	n := min(int64(len(p)), max(f.size-off, 0))
	for done := int64(0); done < n; {
		c, at := (off+done)/chunkSize, (off+done)%chunkSize
		part := p[done:min(n, done+chunkSize-at)]
		if b := f.chunks[c]; b != nil {
			copy(part, b[at:])
		} else {
			clear(part)
		}
		done += int64(len(part))
	}
	if n < int64(len(p)) {
		return int(n), io.EOF
	}
	return int(n), nil
}
