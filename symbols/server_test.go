package symbols_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"bugcheck/pe"
	"bugcheck/symbols"
)

// fakeServer is a symbol server on loopback.
type fakeServer struct {
	*httptest.Server
	files map[string][]byte           // below /symbols/
	hooks map[string]http.HandlerFunc // by the same paths

	mu          sync.Mutex
	gets        map[string]int
	connections int
}

func serve(t testing.TB, files map[string][]byte) *fakeServer {
	s := &fakeServer{files: files, hooks: map[string]http.HandlerFunc{}, gets: map[string]int{}}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(s.answer))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.mu.Lock()
			s.connections++
			s.mu.Unlock()
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	return s
}

func (s *fakeServer) answer(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, "/symbols/")
	s.mu.Lock()
	s.gets[path]++
	s.mu.Unlock()
	if hook, ok := s.hooks[path]; ok {
		hook(w, r)
		return
	}
	data, ok := s.files[path]
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("ETag", fmt.Sprintf(`"%d"`, len(data)))
	http.ServeContent(w, r, "x.bin", time.Time{}, bytes.NewReader(data))
}

func (s *fakeServer) count(path string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.gets[path]
}

// total is the number of requests.
func (s *fakeServer) total() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.gets {
		n += c
	}
	return n
}

func (s *fakeServer) path() string { return s.URL + "/symbols" }

func storePath(id pe.PDB, file string) string { return id.Path + "/" + id.Key() + "/" + file }

// client is one without a proxy.
func client() *http.Client { return &http.Client{Transport: &http.Transport{}} }

// cached opens a Finder with a cache in front of a server.
func cached(t testing.TB, cache string, s *fakeServer, o symbols.Options) *symbols.Finder {
	o.Path, o.Client = "srv*"+cache+"*"+s.path(), client()
	if o.Wait == 0 {
		o.Wait = 200 * time.Millisecond
	}
	return open(t, o)
}

// wantOnly checks that the cache holds these files and nothing else.
func wantOnly(t *testing.T, cache string, want ...string) {
	t.Helper()
	if got := list(t, cache); strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("in the cache: %v, want %v", got, want)
	}
}

func TestServer_PlainPackedPointerRedirect(t *testing.T) {
	id := sampleID(1, "sample.pdb")
	pdb := makePDB(id, 100_000)
	plain, packed, pointer := storePath(id, "sample.pdb"), storePath(id, "sample.pd_"), storePath(id, "file.ptr")
	for _, tt := range []struct {
		name  string
		files map[string][]byte
		hook  string
	}{
		{"plain", map[string][]byte{plain: pdb}, ""},
		{"packed", map[string][]byte{packed: makeCabinet("sample.pdb", pdb)}, ""},
		{"packed under the plain name", map[string][]byte{plain: makeCabinet("sample.pdb", pdb)}, ""},
		{"two tiers", map[string][]byte{"index2.txt": []byte("."), "sa/" + plain: pdb}, ""},
		{"redirect", map[string][]byte{"blob": pdb}, "redirect"},
		{"pointer", map[string][]byte{"blob": pdb}, "pointer"},
		{"gzip transfer", nil, "gzip"},
		{"a page for everything", map[string][]byte{"index2.txt": []byte("<html></html>"), plain: pdb}, "page"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, cache := serve(t, tt.files), t.TempDir()
			switch tt.hook {
			case "page":
				s.hooks["index2.txt"] = func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Content-Type", "text/html")
					_, _ = w.Write([]byte("<html></html>"))
				}
				s.hooks["sa/"+plain] = func(http.ResponseWriter, *http.Request) { t.Error("asked as a store of two tiers") }
			case "redirect":
				s.hooks[plain] = func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/symbols/blob", http.StatusFound) }
			case "pointer":
				s.hooks[pointer] = func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, "PATH:%s/blob", s.path()) }
			case "gzip":
				s.hooks[plain] = func(w http.ResponseWriter, r *http.Request) {
					if r.Header.Get("Accept-Encoding") != "gzip" {
						http.Error(w, "no gzip", http.StatusBadRequest)
						return
					}
					w.Header().Set("Content-Encoding", "gzip")
					z := gzip.NewWriter(w)
					_, _ = z.Write(pdb)
					_ = z.Close()
				}
			}
			f := cached(t, cache, s, symbols.Options{})
			found, err := f.PDB(ctx, id)
			if got := content(t, found, err); !bytes.Equal(got, pdb) {
				t.Error("other bytes than on the server")
			}
			wantOnly(t, cache, plain)
			before := s.total()
			found, err = cached(t, cache, s, symbols.Options{Offline: true}).PDB(ctx, id)
			if content(t, found, err); s.total() != before {
				t.Error("a server was asked though the file is in the cache")
			}
		})
	}
}

func TestServer_Progress(t *testing.T) {
	id := sampleID(1, "sample.pdb")
	pdb := makePDB(id, 1_000_000)
	s := serve(t, map[string][]byte{storePath(id, "sample.pdb"): pdb})
	var last, total int64
	f := cached(t, t.TempDir(), s, symbols.Options{Progress: func(name string, d, n int64) {
		if name != "sample.pdb" || d < last {
			t.Errorf("progress of %s: %d after %d", name, d, last)
		}
		last, total = d, n
	}})
	found, err := f.PDB(ctx, id)
	if content(t, found, err); last != int64(len(pdb)) || total != int64(len(pdb)) {
		t.Errorf("the last progress is %d of %d, want %d", last, total, len(pdb))
	}
	state := f.State()
	if server := state.Servers[0]; server.Files != 1 || server.Bytes < int64(len(pdb)) || server.Err != nil || !server.Asked {
		t.Errorf("state: %+v", server)
	}
}

// TestServer_MissingIsRemembered: for the run, and in the cache for a day.
func TestServer_MissingIsRemembered(t *testing.T) {
	id := sampleID(1, "sample.pdb")
	s, cache := serve(t, nil), t.TempDir()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	f := cached(t, cache, s, symbols.Options{Now: now})
	for range 2 {
		if _, err := f.PDB(ctx, id); !errors.Is(err, symbols.ErrNotFound) || errors.Is(err, symbols.ErrUnreachable) {
			t.Fatal(err)
		}
	}
	if asked := s.total(); asked != 4 || s.connections != 1 { // index2.txt, plain, packed, pointer
		t.Errorf("%d requests on %d connections, want 4 on 1", asked, s.connections)
	}
	for _, tt := range []struct {
		name string
		now  time.Time
		more int
	}{
		{"an hour later", now.Add(time.Hour), 0},
		{"no clock", time.Time{}, 4},
		{"two days later", now.Add(48 * time.Hour), 4},
		{"the clock was set back", now.Add(-100 * time.Hour), 4},
	} {
		before := s.total()
		_, err := cached(t, cache, s, symbols.Options{Now: tt.now}).PDB(ctx, id)
		if !errors.Is(err, symbols.ErrNotFound) || s.total()-before != tt.more {
			t.Errorf("%s: %v, %d more requests, want %d", tt.name, err, s.total()-before, tt.more)
		}
	}
	wantOnly(t, cache, "bugcheck-missing.txt")
}

// TestServer_LeftoversAreSwept: what killed downloads left is removed after a
// day.
func TestServer_LeftoversAreSwept(t *testing.T) {
	s, cache := serve(t, nil), t.TempDir()
	old, young := write(t, nil, cache, "bugcheck-1.tmp"), write(t, nil, cache, "bugcheck-2.tmp")
	now := time.Now()
	if err := os.Chtimes(old, now.Add(-25*time.Hour), now.Add(-25*time.Hour)); err != nil {
		t.Fatal(err)
	}
	_, err := cached(t, cache, s, symbols.Options{Now: now}).PDB(ctx, sampleID(1, "a.pdb"))
	if !errors.Is(err, symbols.ErrNotFound) {
		t.Fatal(err)
	}
	wantOnly(t, cache, filepath.Base(young), "bugcheck-missing.txt")
}

// TestServer_WrongFile is told, and not kept.
func TestServer_WrongFile(t *testing.T) {
	id, other := sampleID(1, "sample.pdb"), sampleID(2, "sample.pdb")
	for name, data := range map[string][]byte{"another PDB": makePDB(other, 10), "a page": []byte("<html>Sign in</html>"), "nothing": {}} {
		s, cache := serve(t, map[string][]byte{storePath(id, "sample.pdb"): data}), t.TempDir()
		_, err := cached(t, cache, s, symbols.Options{}).PDB(ctx, id)
		var wrong *symbols.MismatchError
		if !errors.As(err, &wrong) || wrong.Key != id.Key() || !strings.HasPrefix(wrong.Where, s.URL) {
			t.Errorf("%s: %v", name, err)
		}
		wantOnly(t, cache)
	}
}

func TestServer_DamagedCabinet(t *testing.T) {
	id := sampleID(1, "sample.pdb")
	packed := makeCabinet("sample.pdb", makePDB(id, 100))
	s, cache := serve(t, map[string][]byte{storePath(id, "sample.pd_"): packed[:len(packed)/2]}), t.TempDir()
	_, err := cached(t, cache, s, symbols.Options{}).PDB(ctx, id)
	if !errors.Is(err, symbols.ErrNotFound) || !strings.Contains(err.Error(), "not a valid cabinet") {
		t.Errorf("got %v", err)
	}
	wantOnly(t, cache)
}

// refused is an address where nobody listens.
func refused(t testing.TB) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return "http://" + l.Addr().String()
}

// silent accepts connections and never answers.
func silent(t testing.TB) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = c.Close() })
		}
	}()
	return "http://" + l.Addr().String()
}

// TestServer_NoNetwork: three servers, refused and silent, and many files: known
// within two seconds in all, with the times that users have.
func TestServer_NoNetwork(t *testing.T) {
	cache := t.TempDir()
	one, two, three := silent(t), refused(t), silent(t)
	f := open(t, symbols.Options{Path: join("srv*"+cache+"*"+one, "srv*"+cache+"*"+two, "srv*"+cache+"*"+three), Client: client()})
	var requests []symbols.Request
	for i := range 200 {
		requests = append(requests, symbols.PDBRequest(sampleID(byte(i), fmt.Sprintf("f%d.pdb", i))))
	}
	start := time.Now()
	results := f.Fetch(ctx, requests)
	if took := time.Since(start); took > 2*time.Second+300*time.Millisecond {
		t.Errorf("known after %v", took)
	}
	for _, r := range results {
		var missing *symbols.NotFoundError
		if !errors.As(r.Err, &missing) || len(missing.Unreachable) != 3 {
			t.Fatalf("%s: %v", r.Name, r.Err)
		}
	}
	for _, s := range f.State().Servers {
		if s.Err == nil || s.Requests != 1 || s.Took > 2*time.Second {
			t.Errorf("state: %+v", s)
		}
	}
	wantOnly(t, cache)
}

// TestServer_GoneInMidRun: a server that stops answering is given up after two
// files.
func TestServer_GoneInMidRun(t *testing.T) {
	s, cache := serve(t, nil), t.TempDir()
	f := cached(t, cache, s, symbols.Options{})
	if _, err := f.PDB(ctx, sampleID(1, "a.pdb")); errors.Is(err, symbols.ErrUnreachable) {
		t.Fatal(err)
	}
	s.Close()
	for i := range byte(3) {
		if _, err := f.PDB(ctx, sampleID(2+i, "a.pdb")); !errors.Is(err, symbols.ErrUnreachable) {
			t.Errorf("file %d: %v", i, err)
		}
	}
	if requests := f.State().Servers[0].Requests; requests != 4+2*3 {
		t.Errorf("%d requests", requests)
	}
}

func TestServer_Offline(t *testing.T) {
	s, cache := serve(t, nil), t.TempDir()
	_, err := cached(t, cache, s, symbols.Options{Offline: true}).PDB(ctx, sampleID(1, "a.pdb"))
	if !errors.Is(err, symbols.ErrOffline) || !errors.Is(err, symbols.ErrNotFound) || s.total() != 0 {
		t.Errorf("%v, %d requests", err, s.total())
	}
	wantOnly(t, cache)
}

// TestServer_FiftyReaders: one download, and every reader has its own file.
func TestServer_FiftyReaders(t *testing.T) {
	id := sampleID(1, "sample.pdb")
	pdb := makePDB(id, 200_000)
	s, cache := serve(t, map[string][]byte{storePath(id, "sample.pdb"): pdb}), t.TempDir()
	f := cached(t, cache, s, symbols.Options{})
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			found, err := f.PDB(ctx, id)
			if err != nil {
				t.Error(err)
				return
			}
			defer found.Close()
			b := make([]byte, found.Size)
			if _, err := found.ReadAt(b, 0); err != nil || !bytes.Equal(b, pdb) {
				t.Errorf("%v", err)
			}
		})
	}
	wg.Wait()
	if n := s.count(storePath(id, "sample.pdb")); n != 1 {
		t.Errorf("%d downloads", n)
	}
	wantOnly(t, cache, storePath(id, "sample.pdb"))
}

// TestServer_TwoFindersOneCache stand for two processes.
func TestServer_TwoFindersOneCache(t *testing.T) {
	files := map[string][]byte{}
	var ids []pe.PDB
	for i := range byte(8) {
		id := sampleID(i, "sample.pdb")
		ids = append(ids, id)
		files[storePath(id, "sample.pdb")] = makePDB(id, 50_000)
	}
	s, cache := serve(t, files), t.TempDir()
	var wg sync.WaitGroup
	for range 4 {
		f := cached(t, cache, s, symbols.Options{})
		for _, id := range ids {
			wg.Go(func() {
				found, err := f.PDB(ctx, id)
				if err != nil {
					t.Error(err)
					return
				}
				defer found.Close()
				if found.Size != int64(len(files[storePath(id, "sample.pdb")])) {
					t.Errorf("%d bytes", found.Size)
				}
			})
		}
	}
	wg.Wait()
	if left := list(t, cache); len(left) != len(ids) {
		t.Errorf("in the cache: %v", left)
	}
}

// TestServer_Cancelled: an interrupted download leaves nothing, and is not
// remembered as missing.
func TestServer_Cancelled(t *testing.T) {
	id := sampleID(1, "sample.pdb")
	pdb := makePDB(id, 300_000)
	s, cache := serve(t, nil), t.TempDir()
	short, stop := context.WithCancel(ctx)
	defer stop()
	n := 0
	s.hooks[storePath(id, "sample.pdb")] = func(w http.ResponseWriter, r *http.Request) {
		if n++; n > 1 {
			_, _ = w.Write(pdb)
			return
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(pdb)))
		_, _ = w.Write(pdb[:100_000])
		_ = http.NewResponseController(w).Flush()
		stop()
		<-r.Context().Done()
	}
	f := cached(t, cache, s, symbols.Options{Wait: 2 * time.Second})
	if _, err := f.PDB(short, id); err == nil || errors.Is(err, symbols.ErrNotFound) {
		t.Errorf("cancelled: %v", err)
	}
	wantOnly(t, cache)
	found, err := f.PDB(ctx, id)
	content(t, found, err)
}

func TestServer_Secrets(t *testing.T) {
	id := sampleID(1, "sample.pdb")
	pdb := makePDB(id, 10)
	s := serve(t, nil)
	other := serve(t, map[string][]byte{"blob": pdb})
	var user, secret, leaked, token string
	s.hooks[storePath(id, "sample.pdb")] = func(w http.ResponseWriter, r *http.Request) {
		user, secret, _ = r.BasicAuth()
		token = r.Header.Get("Authorization")
		http.Redirect(w, r, strings.Replace(other.path(), "127.0.0.1", "localhost", 1)+"/blob", http.StatusFound)
	}
	other.hooks["blob"] = func(w http.ResponseWriter, r *http.Request) {
		leaked += r.Header.Get("Authorization")
		_, _ = w.Write(pdb)
	}
	withUser := strings.Replace(s.path(), "http://", "http://me:hidden@", 1)
	f := open(t, symbols.Options{Path: "srv*" + t.TempDir() + "*" + withUser, Client: client()})
	found, err := f.PDB(ctx, id)
	if content(t, found, err); user != "me" || secret != "hidden" {
		t.Errorf("basic authentication: %q, %q", user, secret)
	}
	if state := fmt.Sprint(f.State()); strings.Contains(state, "hidden") {
		t.Errorf("a password in %s", state)
	}
	f = open(t, symbols.Options{Path: "srv*" + t.TempDir() + "*" + s.path(), Client: client(), Tokens: map[string]string{"127.0.0.1": "hidden"}})
	found, err = f.PDB(ctx, id)
	if content(t, found, err); token != "Bearer hidden" || leaked != "" {
		t.Errorf("authorization %q, handed on %q", token, leaked)
	}
	gone := strings.Replace(refused(t), "http://", "http://me:hidden@", 1) + "/?sig=hidden"
	_, err = open(t, symbols.Options{Path: "srv*" + t.TempDir() + "*" + gone, Client: client()}).PDB(ctx, id)
	if !errors.Is(err, symbols.ErrUnreachable) || strings.Contains(err.Error(), "hidden") {
		t.Errorf("got %v", err)
	}
}

// TestServer_Refuses: what is neither there nor gone is told.
func TestServer_Refuses(t *testing.T) {
	id := sampleID(1, "sample.pdb")
	s := serve(t, nil)
	s.hooks[storePath(id, "sample.pdb")] = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }
	_, err := cached(t, t.TempDir(), s, symbols.Options{}).PDB(ctx, id)
	if !errors.Is(err, symbols.ErrNotFound) || !strings.Contains(err.Error(), "HTTP status 403") {
		t.Errorf("got %v", err)
	}
}

// TestServer_PointerToAPath of this machine is not followed.
func TestServer_PointerToAPath(t *testing.T) {
	id := sampleID(1, "sample.pdb")
	local := write(t, makePDB(id, 10), t.TempDir(), "sample.pdb")
	for _, target := range []string{local, `\\server\share\sample.pdb`, "file://" + local, "../../secret"} {
		s, cache := serve(t, map[string][]byte{storePath(id, "file.ptr"): []byte("PATH:" + target)}), t.TempDir()
		_, err := cached(t, cache, s, symbols.Options{}).PDB(ctx, id)
		if !errors.Is(err, symbols.ErrNotFound) || !strings.Contains(err.Error(), "on no server") {
			t.Errorf("%s: %v", target, err)
		}
		wantOnly(t, cache)
	}
}

// TestServer_ForeignCache: a cache on a drive letter, elsewhere than on
// Windows, is no folder to be made; the default one takes its place.
func TestServer_ForeignCache(t *testing.T) {
	if filepath.IsAbs(`C:\x`) {
		t.Skip("this is Windows")
	}
	id := sampleID(1, "sample.pdb")
	s, cache := serve(t, map[string][]byte{storePath(id, "sample.pdb"): makePDB(id, 10)}), t.TempDir()
	t.Chdir(t.TempDir())
	f := open(t, symbols.Options{Path: `srv*C:\symbols*` + s.path(), Cache: cache, Client: client()})
	found, err := f.PDB(ctx, id)
	content(t, found, err)
	wantOnly(t, cache, storePath(id, "sample.pdb"))
	if here, _ := os.ReadDir("."); len(here) != 0 {
		t.Errorf("made %v", here)
	}
}

func TestServer_NoPlaceToWrite(t *testing.T) {
	id := sampleID(1, "sample.pdb")
	s := serve(t, map[string][]byte{storePath(id, "sample.pdb"): makePDB(id, 10)})
	file := write(t, []byte("in the way"), t.TempDir(), "file")
	_, err := cached(t, filepath.Join(file, "cache"), s, symbols.Options{}).PDB(ctx, id)
	if !errors.Is(err, symbols.ErrNotFound) || !strings.Contains(err.Error(), "cache") {
		t.Errorf("got %v", err)
	}
}
