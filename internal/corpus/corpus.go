// Package corpus finds the real files that tests are held against: beside the
// repository in ../shared/corpus, or in $BUGCHECK_CORPUS.
//
// They hold strangers' memory, so they are no part of the repository; a test
// that needs them is skipped where they are absent, unless $BUGCHECK_REQUIRE is
// "all", as it is in CI.
package corpus

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// Dir returns a folder of the corpus, such as "dumps", or ends the test.
func Dir(t testing.TB, name string) string {
	t.Helper()
	dir := filepath.Join(root(t), name)
	if _, err := os.Stat(dir); err != nil {
		Missing(t, "the corpus of real files is not here: "+dir)
	}
	return dir
}

// All reports that nothing may be left out: $BUGCHECK_REQUIRE is "all".
func All() bool { return os.Getenv("BUGCHECK_REQUIRE") == "all" }

// Missing skips the test because of something that is absent, or fails it where
// everything is required.
func Missing(t testing.TB, what string) {
	t.Helper()
	if All() {
		t.Fatal(what)
	}
	t.Skip(what)
}

// root is $BUGCHECK_CORPUS, or ../shared/corpus from the folder of go.mod.
func root(t testing.TB) string {
	if dir := os.Getenv("BUGCHECK_CORPUS"); dir != "" {
		return dir
	}
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return filepath.Join(dir, "..", "shared", "corpus")
		}
		if filepath.Dir(dir) == dir {
			t.Fatal("no go.mod above the test")
		}
		dir = filepath.Dir(dir)
	}
}

// Expected is what is known of one real dump; absent fields are not known.
type Expected struct {
	File         string   `json:"file"`
	Size         int64    `json:"size_bytes"`
	Kind         string   `json:"kind"`
	Architecture string   `json:"architecture"`
	Build        uint32   `json:"build"`
	Processors   uint32   `json:"processors"`
	Bugcheck     string   `json:"bugcheck"`
	Parameters   []string `json:"parameters"`
	Modules      int      `json:"modules"`
	Image        string   `json:"image"`
	ImageSource  string   `json:"image_source"`
	Cause        string   `json:"cause"`
	Process      string   `json:"process"`
	Fault        string   `json:"fault"`
	SameBucketAs string   `json:"same_bucket_as"`
	Stack        []struct {
		Address string `json:"address"`
		Pointer string `json:"stack_pointer"`
		Module  string `json:"module"`
		Symbol  string `json:"symbol"`
	} `json:"stack"`
}

// Dumps lists the real dumps with what is known of them.
func Dumps(t testing.TB) []Expected {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(Dir(t, "dumps"), "expected.json"))
	if err != nil {
		t.Fatal(err)
	}
	var list []Expected
	if err := json.Unmarshal(b, &list); err != nil {
		t.Fatal(err)
	}
	return list
}

// Number reads a hexadecimal value of what is known.
func Number(t testing.TB, s string) uint64 {
	t.Helper()
	v, err := strconv.ParseUint(s, 0, 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// Path is the path of a dump.
func (e Expected) Path(t testing.TB) string { return filepath.Join(Dir(t, "dumps"), e.File) }
