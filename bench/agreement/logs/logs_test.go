package logs

import (
	"os"
	"testing"

	"bugcheck/internal/corpus"
)

// floor is what was last reached on the corpus's complete cases. Raise it with
// every improvement; a change that falls below it is a step back.
var floor = Scores{Image: Score{Equal: 30}, Bucket: Score{Equal: 17}, Hash: Score{Equal: 16}}

func TestAgreement_DoesNotFall(t *testing.T) {
	corpus.Dir(t, ".")
	cases, err := Read(DefaultFileFrom(corpus.Dir(t, ".")))
	if err != nil {
		t.Fatal(err)
	}
	got := Compare(cases).Complete
	if got.Image.Equal < floor.Image.Equal || got.Bucket.Equal < floor.Bucket.Equal || got.Hash.Equal < floor.Hash.Equal {
		t.Errorf("complete cases: %v; last recorded: image %d bucket %d hash %d", got, floor.Image.Equal, floor.Bucket.Equal, floor.Hash.Equal)
	}
	if got.Image.Of == 0 {
		t.Error("no complete case was read")
	}
}

// TestAgreement_HashFollowsBucket: where the bucket is equal, the hash is.
func TestAgreement_HashFollowsBucket(t *testing.T) {
	cases, err := Read(DefaultFileFrom(corpus.Dir(t, ".")))
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range Compare(cases).HashDifferences {
		t.Error(d)
	}
}

func TestRead_BadLine(t *testing.T) {
	file := t.TempDir() + "/bad.jsonl"
	if err := os.WriteFile(file, []byte("{\"id\": \"a\"}\nnot json\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(file); err == nil {
		t.Error("a line that is not JSON was read without an error")
	}
}
