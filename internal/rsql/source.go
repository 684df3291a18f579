package rsql

// Source says where a database keeps the values of a field. Its SQL texts are part of the program, never of a request;
// they must not hold "?".
type Source interface {
	// holds tells whether the source can keep values of the type in the dialect.
	holds(Type, Dialect) bool
}

// Column is a column or any expression of one value per row. Timestamps are timestamptz on PostgreSQL; on SQLite they
// are what the driver writes for a [time.Time] in UTC. Times of another zone compare wrongly there, since SQLite
// compares their texts.
type Column struct {
	Expr string
	// Folded is an expression of the same text already folded by [Fold]; patterns use it if it is set. Otherwise they
	// use lower(Expr), on PostgreSQL lower((Expr) COLLATE "C"): an index that serves them is one on that expression.
	Folded string
}

// TextArray is a PostgreSQL text[]. A GIN index on it serves every test but patterns.
type TextArray struct{ Expr string }

// JSONArray is an array of texts: jsonb on PostgreSQL, JSON text on SQLite, without blanks between its elements, as
// encoding/json writes it. NULL and JSON null count as empty.
type JSONArray struct{ Expr string }

// JSONObject is an object whose values are texts: jsonb on PostgreSQL, where a GIN index (jsonb_path_ops too) serves
// exact tests; JSON text on SQLite, without blanks, as encoding/json writes it. NULL and JSON null count as empty.
type JSONObject struct{ Expr string }

// ChildRows is an array whose elements are rows of another table.
type ChildRows struct {
	// From is what follows FROM, up to a condition that links the rows to the outer row:
	// "asset_digests d WHERE d.asset_id = assets.id".
	From string
	// Value is the element, a text that is not NULL: "d.digest".
	Value string
	// Folded is as in [Column].
	Folded string
}

// ChildObject is a [JSONObject] that stands in a row of another table. Where there is no such row, it is empty.
type ChildObject struct {
	// From is as in [ChildRows]: "asset_details d WHERE d.asset_id = assets.id".
	From string
	// Expr is the object: "d.image_labels".
	Expr string
}

// SearchText is a text folded by [Fold] in which a [Search] field looks for its term. On PostgreSQL a trigram index on
// it serves terms of three characters and more.
type SearchText struct{ Expr string }

// SearchFunc makes the condition of a [Search] field for a term that is not empty: SQL with "?" for each of args. It is
// for searches that choose their tables by the term; [ContainsPattern] makes a LIKE pattern of it. The SQL must not be
// NULL for any row that the rest of the filter could select, and on SQLite LIKE needs: ESCAPE '\'.
type SearchFunc func(term string) (sql string, args []any)

func (Column) holds(t Type, _ Dialect) bool {
	return t == Text || t == Timestamp || t == Integer || t == Boolean || t == UUID
}
func (TextArray) holds(t Type, d Dialect) bool   { return t == Array && d == PostgreSQL }
func (JSONArray) holds(t Type, _ Dialect) bool   { return t == Array }
func (ChildRows) holds(t Type, _ Dialect) bool   { return t == Array }
func (JSONObject) holds(t Type, _ Dialect) bool  { return t == Object }
func (ChildObject) holds(t Type, _ Dialect) bool { return t == Object }
func (SearchText) holds(t Type, _ Dialect) bool  { return t == Search }
func (SearchFunc) holds(t Type, _ Dialect) bool  { return t == Search }
