package rsql

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCompileErrors(t *testing.T) {
	fields := testFields(t)
	for filter, want := range map[string]Error{
		"type==a":                           {Code: CodeUnknownField, Position: 0},
		"name==a;(registry==b,Name==c)":     {Code: CodeUnknownField, Position: 21},
		"name.x==a":                         {Code: CodeUnknownField, Position: 0},
		"tags==a":                           {Code: CodeUnknownField, Position: 0},
		"tags=in=('')":                      {Code: CodeUnknownField, Position: 0},
		"notes==a":                          {Code: CodeUnknownField, Position: 0},
		"notes=out=('')":                    {Code: CodeUnknownField, Position: 0},
		"tags.==a":                          {Code: CodeUnknownField, Position: 0},
		".env==a":                           {Code: CodeUnknownField, Position: 0},
		"assets.name==a":                    {Code: CodeUnknownField, Position: 0},
		"name;name==a":                      {Code: CodeInvalidFilter, Position: 4},
		"name<a":                            {Code: CodeOperatorNotAllowed, Position: 4},
		"labels=gt=a":                       {Code: CodeOperatorNotAllowed, Position: 6},
		"tags.env>=a":                       {Code: CodeOperatorNotAllowed, Position: 8},
		"q!=nginx":                          {Code: CodeOperatorNotAllowed, Position: 1},
		"q=in=(a,b)":                        {Code: CodeOperatorNotAllowed, Position: 1},
		"locked=in=(true)":                  {Code: CodeOperatorNotAllowed, Position: 6},
		"id>0190a3a4-7b1e-7cc0-8c1d-5f6a7b": {Code: CodeOperatorNotAllowed, Position: 2},
		"q==''":                             {Code: CodeInvalidValue, Position: 3},
		"q==**":                             {Code: CodeInvalidValue, Position: 3},
		"id==5":                             {Code: CodeInvalidValue, Position: 4},
		"id==0190a3a4*":                     {Code: CodeInvalidValue, Position: 4},
		"id=={0190a3a4-7b1e-7cc0-8c1d-5f6a7b8c9d0e}": {Code: CodeInvalidValue, Position: 4},
		"id==0190a3a4x7b1e-7cc0-8c1d-5f6a7b8c9d0e":   {Code: CodeInvalidValue, Position: 4},
		"locked==yes":                                   {Code: CodeInvalidValue, Position: 8},
		"locked==True":                                  {Code: CodeInvalidValue, Position: 8},
		"size_bytes==1.5":                               {Code: CodeInvalidValue, Position: 12},
		"size_bytes==1_000":                             {Code: CodeInvalidValue, Position: 12},
		"size_bytes==0x10":                              {Code: CodeInvalidValue, Position: 12},
		"size_bytes>''":                                 {Code: CodeInvalidValue, Position: 11},
		"size_bytes==9223372036854775808":               {Code: CodeInvalidValue, Position: 12},
		"size_bytes=in=(1,2,x)":                         {Code: CodeInvalidValue, Position: 19},
		"created_at==*2024*":                            {Code: CodeInvalidValue, Position: 12},
		"created_at>''":                                 {Code: CodeInvalidValue, Position: 11},
		"created_at>2024":                               {Code: CodeInvalidValue, Position: 11},
		"created_at>2024-02-30":                         {Code: CodeInvalidValue, Position: 11},
		"created_at>2024-1-1":                           {Code: CodeInvalidValue, Position: 11},
		"created_at>01.01.2024":                         {Code: CodeInvalidValue, Position: 11},
		"created_at>0000-01-01":                         {Code: CodeInvalidValue, Position: 11},
		"created_at>0001-01-01T00:00:00%2B01:00":        {Code: CodeInvalidValue, Position: 11},
		"created_at>0001-01-01T00:00:00+01:00":          {Code: CodeInvalidValue, Position: 11},
		"created_at>9999-12-31T23:59:59-01:00":          {Code: CodeInvalidValue, Position: 11},
		"created_at>2024-01-01T00:00:00":                {Code: CodeInvalidValue, Position: 11},
		"created_at>'2024-01-01 00:00:00Z'":             {Code: CodeInvalidValue, Position: 11},
		"created_at>2024-01-01T1:00:00Z":                {Code: CodeInvalidValue, Position: 11},
		"created_at>'2024-01-01T01:00:00,5Z'":           {Code: CodeInvalidValue, Position: 11},
		"created_at==2024-01-01T24:00:00Z":              {Code: CodeInvalidValue, Position: 12},
		"created_at==2024-01-01T00:00:00.1234567Z":      {Code: CodeInvalidValue, Position: 12},
		"created_at=out=(2024-01-01,tomorrow)":          {Code: CodeInvalidValue, Position: 27},
		"created_at>" + strings.Repeat("9", 4000) + "Z": {Code: CodeInvalidValue, Position: 11},
	} {
		t.Run(filter[:min(len(filter), 40)], func(t *testing.T) {
			for _, d := range []Dialect{PostgreSQL, SQLite} {
				node, err := Parse(filter)
				if err == nil {
					_, err = fields.Compile(node, d)
				}
				problem := asError(t, err)
				require.Equal(t, want.Code, problem.Code, "%v", err)
				require.Equal(t, want.Position, problem.Position, "%v", err)
				require.NotEmpty(t, problem.Expected, "%v", err)
				require.Less(t, len(err.Error()), 400)
			}
		})
	}
}

func TestCompileErrorTexts(t *testing.T) {
	fields := testFields(t)
	for filter, want := range map[string]string{
		"colour==red": `unknown field "colour" at position 0, expected q, id, name, registry, image, created_at, built_at, size_bytes, ` +
			`risk_score, locked, labels, features, distribution_digests, tags.<key> or notes.<key>`,
		"tags==red": `field tags is an object and is compared by key at position 0, expected tags.<key>`,
		"name>red":  `field name does not take operator > at position 4, expected ==, !=, =in= or =out=`,
		"created_at>x": `"x" is not a timestamp at position 11, expected a date such as 2024-01-31 or ` +
			`an RFC 3339 time such as 2024-01-31T12:00:00Z, at most to the microsecond`,
	} {
		node, err := Parse(filter)
		require.NoError(t, err)
		_, err = fields.Compile(node, SQLite)
		require.EqualError(t, err, want)
	}
}

// The SQL of a few filters in full, for readers and against accidents. What it means is tested on the databases.
func TestCompiledSQL(t *testing.T) {
	fields := testFields(t)
	for _, c := range []struct {
		filter, postgres, sqlite string
		args                     int
	}{
		{"registry==docker.io", "registry = $1", "registry = ?", 1},
		{"registry!=*io", `(registry IS NULL OR NOT (lower((registry) COLLATE "C") LIKE $1))`,
			`(registry IS NULL OR NOT (lower(registry) LIKE ? ESCAPE '\'))`, 1},
		{"labels=in=(a,b)", "(labels) && ARRAY[$1, $2]::text[]",
			"CASE WHEN (instr(labels, ?) > 0 OR instr(labels, ?) > 0) THEN " +
				"EXISTS (SELECT 1 FROM json_each(labels) AS element WHERE element.type = 'text' AND element.value IN (?, ?)) ELSE 0 END", 2},
		{"tags.env==prod;created_at>2024-01-01", "((tags) @> $1::jsonb AND created_at > $2::timestamptz)",
			"(CASE WHEN instr(tags, ?) > 0 THEN (SELECT member.value FROM json_each(tags) AS member WHERE member.type = 'text' AND member.key = ? LIMIT 1) IN (?) ELSE 0 END " +
				"AND created_at > ?)", 0},
		{"created_at==2024-01-01", "created_at BETWEEN $1::timestamptz AND $2::timestamptz", "created_at BETWEEN ? AND ?", 2},
		{"image==a/b", "(registry || '/' || name) = $1", "(registry || '/' || name) = ?", 1},
		{"q==50%", "search_text LIKE $1", `search_text LIKE ? ESCAPE '\'`, 1},
	} {
		node, err := Parse(c.filter)
		require.NoError(t, err)
		text, args := compiled(t, fields, node, PostgreSQL).Numbered(1)
		require.Equal(t, c.postgres, text)
		if c.args > 0 {
			require.Len(t, args, c.args)
		}
		text, _ = compiled(t, fields, node, SQLite).Question()
		require.Equal(t, c.sqlite, text)
	}
}

func TestNumberedStartsWhereTold(t *testing.T) {
	node, err := Parse("name==a;registry==b,labels==c")
	require.NoError(t, err)
	text, args := compiled(t, testFields(t), node, PostgreSQL).Numbered(7)
	require.Equal(t, "((name = $7 AND registry = $8) OR (labels) && ARRAY[$9]::text[])", text)
	require.Equal(t, []any{"a", "b", "c"}, args)
}

// TestS14_ValuesNeverReachTheSQL compiles hostile values and others of the same form: the SQL is the same, to the byte. There
// are two of each: SQLite looks into the text of a JSON document first for values that are written there as they are.
func TestS14_ValuesNeverReachTheSQL(t *testing.T) {
	fields := testFields(t)
	allowed := regexp.MustCompile(`^[A-Za-z0-9_.,$?()=<>&@|'"\[\]{}:\\/ -]*$`)
	for _, d := range []Dialect{PostgreSQL, SQLite} {
		for _, form := range []string{"name==%", "name!=*%*", "labels==%", "labels=out=(%,a)", "features==%", "q==%",
			"features=in=(%)", "tags.env==%", "tags.env!=%*", "distribution_digests==%", "image=in=(b,%)"} {
			shape := func(value string) (string, []any) {
				quoted := `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `*`, `\*`).Replace(value) + `"`
				if strings.Contains(form, "*") { // inside the quotes
					quoted = `"` + strings.Replace(strings.Trim(form[strings.Index(form, "=")+1:], "="), "%", quoted[1:len(quoted)-1], 1) + `"`
					form := form[:strings.LastIndex(form, "=")+1]
					node, err := Parse(form + quoted)
					require.NoError(t, err)
					return compiled(t, fields, node, d).Question()
				}
				node, err := Parse(strings.Replace(form, "%", quoted, 1))
				require.NoError(t, err)
				return compiled(t, fields, node, d).Question()
			}
			plain, _ := shape("plain")
			escaped, _ := shape("quoted \"")
			require.Regexp(t, allowed, plain)
			require.Regexp(t, allowed, escaped)
			for _, value := range hostile {
				text, args := shape(value)
				require.Contains(t, []string{plain, escaped}, text, "%s with %q on %s", form, value, d)
				require.Equal(t, len(args), strings.Count(text, "?"))
			}
		}
		plain := compiled(t, fields, &Comparison{Field: "tags.k", Operator: Equal, Values: []Value{{Text: "v"}}}, d)
		escaped := compiled(t, fields, &Comparison{Field: `tags."k`, Operator: Equal, Values: []Value{{Text: "v"}}}, d)
		for _, key := range append(hostileKeys, "'--", `"`, "$1") {
			c := compiled(t, fields, &Comparison{Field: "tags." + key, Operator: Equal, Values: []Value{{Text: "v"}}}, d)
			require.Contains(t, [][]string{plain.parts, escaped.parts}, c.parts, "%q", key)
		}
	}
}

func TestLikePattern(t *testing.T) {
	for filter, want := range map[string]string{
		`a==b*`: `b%`, `a==*B`: `%b`, `a==*`: `%`, `a==***`: `%`, `a==a**b*`: `a%b%`, `a==*50%_\*`: `%50\%\_\\%`,
		`a=="\**É"`: `*%É`, `a==*Ab*Cd*`: `%ab%cd%`,
	} {
		node, err := Parse(filter)
		require.NoError(t, err)
		require.Equal(t, want, LikePattern(node.(*Comparison).Values[0]), filter)
	}
	require.Equal(t, `%a\%b\_\\%`, ContainsPattern(`A%b_\`))
}

func TestNewFieldsRefusesMistakes(t *testing.T) {
	column := Column{Expr: "a"}
	for name, list := range map[string][]Field{
		"no name":          {{Type: Text, PostgreSQL: column, SQLite: column}},
		"dot":              {{Name: "a.b", Type: Text, PostgreSQL: column, SQLite: column}},
		"reserved":         {{Name: "a b", Type: Text, PostgreSQL: column, SQLite: column}},
		"twice":            {{Name: "a", Type: Text, PostgreSQL: column, SQLite: column}, {Name: "a", Type: Text, PostgreSQL: column, SQLite: column}},
		"no type":          {{Name: "a", PostgreSQL: column, SQLite: column}},
		"operator":         {{Name: "a", Type: Text, Operators: []Operator{Less}, PostgreSQL: column, SQLite: column}},
		"no source":        {{Name: "a", Type: Text, PostgreSQL: column}},
		"wrong source":     {{Name: "a", Type: Array, PostgreSQL: column, SQLite: column}},
		"text[] on SQLite": {{Name: "a", Type: Array, PostgreSQL: TextArray{"a"}, SQLite: TextArray{"a"}}},
	} {
		_, err := NewFields(list...)
		require.Error(t, err, name)
	}
}

func TestFieldOperatorsCanBeLimited(t *testing.T) {
	column := Column{Expr: "class"}
	fields, err := NewFields(Field{Name: "class", Type: Text, Operators: []Operator{Equal}, PostgreSQL: column, SQLite: column})
	require.NoError(t, err)
	node, err := Parse("class!=A")
	require.NoError(t, err)
	_, err = fields.Compile(node, PostgreSQL)
	require.Equal(t, CodeOperatorNotAllowed, asError(t, err).Code)
	require.Equal(t, "string", fields.All()[0].Type.String())
}
