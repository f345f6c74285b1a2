package logs

import (
	"os"
	"testing"

	"bugcheck/internal/corpus"
)

// floor is what was last reached on the corpus's complete cases. Raise it with
// every improvement; a change that falls below it is a step back.
var floor = Scores{Image: Score{Equal: 30}, Bucket: Score{Equal: 18}, Hash: Score{Equal: 16}}

// floorModern is the same of the complete cases of today's debuggers.
var floorModern = Scores{Image: Score{Equal: 18}, Bucket: Score{Equal: 18}, Hash: Score{Equal: 16}}

func TestAgreement_DoesNotFall(t *testing.T) {
	corpus.Dir(t, ".")
	cases, err := Read(DefaultFileFrom(corpus.Dir(t, ".")))
	if err != nil {
		t.Fatal(err)
	}
	got := Compare(cases)
	for _, part := range []struct {
		name       string
		got, floor Scores
	}{
		{"complete", got.Complete, floor},
		{"modern", got.Modern, floorModern},
	} {
		g, f := part.got, part.floor
		if g.Image.Equal < f.Image.Equal || g.Bucket.Equal < f.Bucket.Equal || g.Hash.Equal < f.Hash.Equal {
			t.Errorf("%s cases: %v; last recorded: image %d bucket %d hash %d", part.name, g, f.Image.Equal, f.Bucket.Equal, f.Hash.Equal)
		}
		if g.Image.Of == 0 {
			t.Errorf("no %s case was read", part.name)
		}
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
