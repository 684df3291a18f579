package rsql

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseSort(t *testing.T) {
	allowed := []string{"created_at", "name", "class"}
	for text, want := range map[string]Sort{
		"":                        nil,
		"name":                    {{Field: "name"}},
		"-created_at":             {{Field: "created_at", Descending: true}},
		"-created_at,name,-class": {{Field: "created_at", Descending: true}, {Field: "name"}, {Field: "class", Descending: true}},
	} {
		order, err := ParseSort(text, allowed...)
		require.NoError(t, err)
		require.Equal(t, want, order)
		require.Equal(t, text, order.String())
	}
	for text, want := range map[string]struct {
		position int
		text     string
	}{
		"size":            {0, `cannot sort by "size" at position 0, expected created_at, name or class`},
		"name,é,class":    {5, `cannot sort by "é"`},
		"name,":           {5, `cannot sort by ""`},
		",name":           {0, `cannot sort by ""`},
		"-":               {0, `cannot sort by ""`},
		"--name":          {0, `cannot sort by "-name"`},
		"+name":           {0, `cannot sort by "+name"`},
		"class, name":     {6, `cannot sort by " name"`},
		"Name":            {0, `cannot sort by "Name"`},
		"name desc":       {0, `cannot sort by "name desc"`},
		"name;DROP TABLE": {0, `cannot sort by "name;DROP TABLE"`},
		"name,-name":      {5, "field name is there twice at position 5"},
	} {
		_, err := ParseSort(text, allowed...)
		problem := asError(t, err)
		require.Equal(t, CodeInvalidSort, problem.Code)
		require.Equal(t, want.position, problem.Position, text)
		require.ErrorContains(t, err, want.text)
	}
}
