package rsql_test

import (
	"slices"
	"testing"

	"slipway/internal/rsql"
)

func TestComparisonsAndRequired(t *testing.T) {
	tests := []struct {
		filter        string
		all, required []string
	}{
		{"a==1", []string{"a"}, []string{"a"}},
		{"a==1;b==2;(c==3;d==4)", []string{"a", "b", "c", "d"}, []string{"a", "b", "c", "d"}},
		{"a==1,b==2", []string{"a", "b"}, nil},
		{"a==1;(b==2,c==3;d==4);e==5", []string{"a", "b", "c", "d", "e"}, []string{"a", "e"}},
	}
	for _, test := range tests {
		n, err := rsql.Parse(test.filter)
		if err != nil {
			t.Fatal(err)
		}
		var all, required []string
		for c := range rsql.Comparisons(n) {
			all = append(all, c.Field)
		}
		for c := range rsql.Required(n) {
			required = append(required, c.Field)
		}
		if !slices.Equal(all, test.all) || !slices.Equal(required, test.required) {
			t.Errorf("%s: all %q, required %q", test.filter, all, required)
		}
		for c := range rsql.Comparisons(n) { // may stop early
			if c.Field != test.all[0] {
				t.Errorf("%s: first %s", test.filter, c.Field)
			}
			break
		}
	}
	for c := range rsql.Comparisons(nil) {
		t.Errorf("of no filter: %v", c)
	}
}
