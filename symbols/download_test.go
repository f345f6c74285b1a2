package symbols_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"bugcheck/symbols"
)

// cut sends part of a file, then breaks the connection.
func cut(t *testing.T, data []byte, from, to int, w http.ResponseWriter, partial bool) {
	w.Header().Set("Content-Length", strconv.Itoa(len(data)-from))
	w.Header().Set("ETag", `"1"`)
	if partial {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(data)-1, len(data)))
		w.WriteHeader(http.StatusPartialContent)
	}
	_, _ = w.Write(data[from:to])
	_ = http.NewResponseController(w).Flush()
	if to < len(data) {
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_ = c.Close()
	}
}

// TestServer_CutIsTakenUp: five connections break; each goes on where the last
// one did.
func TestServer_CutIsTakenUp(t *testing.T) {
	id := sampleID(1, "sample.pdb")
	pdb := makePDB(id, 600_000)
	s, cache := serve(t, nil), t.TempDir()
	var ranges []string
	s.hooks[storePath(id, "sample.pdb")] = func(w http.ResponseWriter, r *http.Request) {
		ranges = append(ranges, r.Header.Get("Range"))
		from := 0
		if v, ok := strings.CutPrefix(r.Header.Get("Range"), "bytes="); ok && r.Header.Get("If-Range") == `"1"` {
			from, _ = strconv.Atoi(strings.TrimSuffix(v, "-"))
		}
		cut(t, pdb, from, min(from+120_000, len(pdb)), w, from > 0)
	}
	found, err := cached(t, cache, s, symbols.Options{}).PDB(ctx, id)
	if got := content(t, found, err); !bytes.Equal(got, pdb) {
		t.Error("other bytes than on the server")
	}
	if len(ranges) != 6 || ranges[1] != "bytes=120000-" {
		t.Errorf("ranges %q", ranges)
	}
	wantOnly(t, cache, storePath(id, "sample.pdb"))
}

// TestServer_CutWhilePacked: a body that the server packs is begun anew.
func TestServer_CutWhilePacked(t *testing.T) {
	id := sampleID(1, "sample.pdb")
	pdb := makePDB(id, 600_000)
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = z.Write(pdb)
	_ = z.Close()
	s, cache := serve(t, nil), t.TempDir()
	n := 0
	s.hooks[storePath(id, "sample.pdb")] = func(w http.ResponseWriter, r *http.Request) {
		if v := r.Header.Get("Range"); v != "" {
			t.Errorf("asked for %s of a packed body", v)
		}
		w.Header().Set("Content-Encoding", "gzip")
		to := packed.Len()
		if n++; n == 1 {
			to /= 2
		}
		cut(t, packed.Bytes(), 0, to, w, false)
	}
	found, err := cached(t, cache, s, symbols.Options{}).PDB(ctx, id)
	if got := content(t, found, err); !bytes.Equal(got, pdb) || n != 2 {
		t.Errorf("other bytes than on the server, or %d requests", n)
	}
}

// TestServer_TooLong: a pointer without an end is not read to it.
func TestServer_TooLong(t *testing.T) {
	id := sampleID(1, "sample.pdb")
	s, cache := serve(t, map[string][]byte{storePath(id, "file.ptr"): bytes.Repeat([]byte("P"), 5000)}), t.TempDir()
	_, err := cached(t, cache, s, symbols.Options{}).PDB(ctx, id)
	if !errors.Is(err, symbols.ErrNotFound) || !strings.Contains(err.Error(), "larger than allowed") {
		t.Errorf("got %v", err)
	}
	wantOnly(t, cache)
}

// TestServer_ChangedInMidDownload begins anew.
func TestServer_ChangedInMidDownload(t *testing.T) {
	id := sampleID(1, "sample.pdb")
	old, pdb := makePDB(sampleID(9, "sample.pdb"), 600_000), makePDB(id, 700_000)
	s, cache := serve(t, nil), t.TempDir()
	n := 0
	s.hooks[storePath(id, "sample.pdb")] = func(w http.ResponseWriter, _ *http.Request) {
		if n++; n == 1 {
			cut(t, old, 0, 100_000, w, false)
			return
		}
		_, _ = w.Write(pdb)
	}
	found, err := cached(t, cache, s, symbols.Options{}).PDB(ctx, id)
	if got := content(t, found, err); !bytes.Equal(got, pdb) {
		t.Error("other bytes than on the server")
	}
}

func TestServer_RetriesAreBounded(t *testing.T) {
	id := sampleID(1, "sample.pdb")
	pdb := makePDB(id, 1000)
	for _, tt := range []struct {
		name     string
		failures int
		asked    int
		ok       bool
	}{{"two", 2, 3, true}, {"for ever", 1000, 3, false}} {
		s, cache := serve(t, nil), t.TempDir()
		n := 0
		s.hooks[storePath(id, "sample.pdb")] = func(w http.ResponseWriter, _ *http.Request) {
			if n++; n <= tt.failures {
				http.Error(w, "busy", http.StatusServiceUnavailable)
				return
			}
			_, _ = w.Write(pdb)
		}
		found, err := cached(t, cache, s, symbols.Options{}).PDB(ctx, id)
		if tt.ok {
			content(t, found, err)
		} else if !errors.Is(err, symbols.ErrUnreachable) {
			t.Errorf("%s: %v", tt.name, err)
		}
		if n != tt.asked {
			t.Errorf("%s: asked %d times, want %d", tt.name, n, tt.asked)
		}
		if !tt.ok {
			wantOnly(t, cache)
		}
	}
}

// TestServer_Stall: a server that stops in the middle is asked again, and given
// up at last; nothing is left in the cache.
func TestServer_Stall(t *testing.T) {
	id := sampleID(1, "sample.pdb")
	pdb := makePDB(id, 300_000)
	s, cache := serve(t, nil), t.TempDir()
	n := 0
	s.hooks[storePath(id, "sample.pdb")] = func(w http.ResponseWriter, r *http.Request) {
		if n++; n == 1 {
			w.Header().Set("Content-Length", strconv.Itoa(len(pdb)))
			w.Header().Set("ETag", `"300000"`)
			_, _ = w.Write(pdb[:50_000])
			_ = http.NewResponseController(w).Flush()
		}
		<-r.Context().Done()
	}
	start := time.Now()
	_, err := cached(t, cache, s, symbols.Options{Wait: 40 * time.Millisecond}).PDB(ctx, id)
	if n := s.count(storePath(id, "sample.pdb")); !errors.Is(err, symbols.ErrUnreachable) || n != 4 {
		t.Errorf("after %d requests: %v", n, err)
	}
	if took := time.Since(start); took > 4*time.Second {
		t.Errorf("known after %v", took)
	}
	wantOnly(t, cache)
}

// TestServer_StallThenGoesOn resumes a stalled download.
func TestServer_StallThenGoesOn(t *testing.T) {
	id := sampleID(1, "sample.pdb")
	pdb := makePDB(id, 300_000)
	s, cache := serve(t, map[string][]byte{"real": pdb}), t.TempDir()
	n := 0
	s.hooks[storePath(id, "sample.pdb")] = func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"1"`)
		if n++; n > 1 {
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(pdb))
			return
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(pdb)))
		_, _ = w.Write(pdb[:50_000])
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}
	found, err := cached(t, cache, s, symbols.Options{Wait: 40 * time.Millisecond}).PDB(ctx, id)
	if got := content(t, found, err); !bytes.Equal(got, pdb) || n != 2 {
		t.Errorf("%d requests", n)
	}
}
