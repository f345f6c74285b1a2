package symbols

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// describe writes the chains of a path: D folder, S store, P pack, U server.
func describe(f *Finder) (out []string) {
	for _, c := range f.chains {
		var parts []string
		for _, s := range c {
			switch s := s.(type) {
			case *folder:
				parts = append(parts, "D "+s.dir)
			case *treeStore:
				parts = append(parts, "S "+s.dir)
			case *pack:
				parts = append(parts, "P "+s.path)
			case *serverStore:
				parts = append(parts, "U "+s.shown+" to "+s.sink.dir)
			}
		}
		out = append(out, strings.Join(parts, ", "))
	}
	return out
}

func TestOpen_PathGrammar(t *testing.T) {
	const ms = DefaultServer
	for _, tt := range []struct {
		path string
		want []string
	}{
		{"", nil},
		{" ; ;;", nil},
		{`C:\symbols;\\server\share\sym; "D:\my symbols" `, []string{`D C:\symbols`, `D \\server\share\sym`, `D D:\my symbols`}},
		{`srv*C:\cache*` + ms, []string{`S C:\cache, U ` + ms + ` to C:\cache`}},
		{`SRV*c1*c2*` + ms, []string{"S c1, S c2, U " + ms + " to c2"}},
		{`srv*\\server\share`, []string{`S \\server\share`}},
		{`srv*local*\\server\share`, []string{`S local, S \\server\share`}},
		{`srv*` + ms, []string{"S CACHE, U " + ms + " to CACHE"}},
		{`srv**` + ms, []string{"S CACHE, U " + ms + " to CACHE"}},
		{`srv*`, []string{"S CACHE, U " + ms + " to CACHE"}},
		{`symsrv*symsrv.dll*c*` + ms, []string{"S c, U " + ms + " to c"}},
		{`SymSrv*C:\dbg\SYMSRV.DLL*c`, []string{"S c"}},
		{`cache*c;d;srv*e`, []string{"S c", "S c, D d", "S c, S e"}},
		{`d;Cache*;srv*e`, []string{"D d", "S CACHE", "S CACHE, S e"}},
		{`cache*a;cache*b;d`, []string{"S a", "S b", "S a, S b, D d"}},
		{`pack.zip;srv*c*Pack.ZIP`, []string{"P pack.zip", "S c, P Pack.ZIP"}},
		{`HTTPS://Sym.example/x`, []string{"S CACHE, U https://Sym.example/x to CACHE"}},
		{`srv*c*https://user:secret@sym.example/x?token=secret`, []string{"S c, U https://sym.example/x to c"}},
		{`srv*c*https://a.example*https://b.example/y/`, []string{"S c, U https://a.example to c, U https://b.example/y/ to c"}},
	} {
		f, err := Open(Options{Path: tt.path, Cache: "CACHE"})
		if err != nil {
			t.Errorf("%q: %v", tt.path, err)
			continue
		}
		if diff := cmp.Diff(tt.want, describe(f)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", tt.path, diff)
		}
	}
}

func TestOpen_PathErrors(t *testing.T) {
	for _, tt := range []struct{ path, cache, want string }{
		{`fetch*c*https://a.example`, "c", `"fetch" is not a keyword`},
		{`symsrv*other.dll*c`, "c", `"other.dll" is not supported`},
		{`cache*a*b`, "c", "one folder"},
		{`cache*https://a.example`, "c", "one folder"},
		{`cache*`, "", "no default folder"},
		{`srv*`, "", "no default folder"},
		{`srv*https://a.example`, "", "needs a folder"},
		{`https://a.example`, "", "needs a folder"},
		{`srv*c*https://`, "c", "not an address"},
		{`srv*c*https://user:secret@a b/`, "c", "not an address"},
		{`srv*1*2*3*4*5*6*7*8*9*10*11`, "c", "11 stores"},
	} {
		_, err := Open(Options{Path: tt.path, Cache: tt.cache})
		var path *PathError
		if !errors.As(err, &path) || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v; want a PathError that says %q", tt.path, err, tt.want)
		}
	}
}

func TestFinder_PathHasNoSecrets(t *testing.T) {
	f, err := Open(Options{Path: `d;srv*c*https://me:secret@s.example/x?sig=secret*c2 ;"https://t.example"`, Cache: "c"})
	if want := `d;srv*c*https://s.example/x*c2 ;https://t.example`; err != nil || f.Path() != want {
		t.Errorf("%q, %v; want %q", f.Path(), err, want)
	}
}

// TestOpen_OneServer: two elements with one address share what is known of it.
func TestOpen_OneServer(t *testing.T) {
	f, err := Open(Options{Path: "srv*a*https://s.example/x;srv*b*https://s.example/x;srv*c*https://s.example/y"})
	if err != nil || len(f.servers) != 2 {
		t.Errorf("%d servers, %v; want 2", len(f.servers), err)
	}
}

func FuzzPath(f *testing.F) {
	f.Add(`srv*C:\cache*https://msdl.microsoft.com/download/symbols;cache*c;d;\\s\h;x.zip`, "c")
	f.Add(`symsrv*symsrv.dll*a*b`, "")
	f.Fuzz(func(t *testing.T, path, cache string) {
		finder, err := Open(Options{Path: path, Cache: cache})
		if err != nil {
			var wrong *PathError
			if !errors.As(err, &wrong) {
				t.Errorf("%q: %v is no PathError", path, err)
			}
			return
		}
		for _, c := range finder.chains {
			for i, s := range c {
				if u, ok := s.(*serverStore); ok && (i == 0 || u.sink.dir == "") {
					t.Errorf("%q: a server without a folder before it", path)
				}
			}
		}
	})
}
