package models

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
)

// sealedColumn is a column that holds encrypted values.
type sealedColumn struct {
	table, column string
	// key is the primary key, which the table is walked by.
	key []string
	// at begins the place that a value is bound to, and id, an SQL expression of text, ends it.
	at, id string
	// text says that it holds text, marked as sealedHooks are.
	text bool
	// member, where set, is the member of the JSON object in the column that holds the value, as a string of base64.
	member string
	// where leaves out rows whose values nobody will read again; "" is all.
	where string
}

// sealedColumns are all. What else is encrypted is the payloads of workflows, which are in Temporal's histories.
var sealedColumns = []sealedColumn{
	rowSecret("applications", "hooks").asText(),
	rowSecret("asset_registries", "password"),
	{table: "asset_secrets", column: "value", key: []string{"name"}, at: place("asset_secrets", "value", ""), id: "name"},
	rowSecret("builds", "escape_auth_token"),
	rowSecret("builds", "private_key"),
	rowSecret("builds", "webhook_secret"),
	rowSecret("builds", "webhook_token"),
	{table: "confirmations", column: "code_sealed", key: []string{"id"}, at: "confirmation:", id: "execution_id", where: "status = '" + ConfirmationPending + "'"},
	{table: "consumers", column: "private_key", key: []string{"id"}, at: privateKeyPlace(""), id: "public_key"},
	rowSecret("deliveries", "sealed"),
	rowSecret("deployment_jobs", "inputs"),
	{table: "deployments", column: "content", key: []string{"environment_id", "root", "root_stage", "path"}, at: place("deployments", "content", ""),
		id: "environment_id || '/' || root || '/' || root_stage || '/' || path"},
	rowSecret("environments", "inputs"),
	{table: "executions", column: "definition", member: "errand_inputs", key: []string{"id"}, at: place("executions", "errand_inputs", ""), id: "subject_id",
		where: "kind = '" + KindDeployment + "'"},
	{table: "execution_scripts", column: "result", key: []string{"execution_id", "key"}, at: "script:", id: "execution_id || ':' || key",
		where: "EXISTS (SELECT 1 FROM executions e WHERE e.id = execution_id AND e.finished_at IS NULL)"},
	rowSecret("namespaces", "hooks").asText(),
	rowSecret("notifications", "sealed"),
	{table: "package_sources", column: "private_key", key: []string{"package_id"}, at: place("package_sources", "private_key", ""), id: "CAST(package_id AS TEXT)"},
	rowSecret("pipeline_triggers", "secret"),
	rowSecret("pipeline_triggers", "token"),
	rowSecret("pipelines", "signing_secret"),
	rowSecret("repositories", "private_key"),
}

// quoted is how JSON has bytes.
func quoted(b []byte) []byte { return []byte(`"` + base64.StdEncoding.EncodeToString(b) + `"`) }

// rowSecret is a column whose values are bound to the id of their row.
func rowSecret(table, column string) sealedColumn {
	return sealedColumn{table: table, column: column, key: []string{"id"}, at: place(table, column, ""), id: "id"}
}

func (c sealedColumn) asText() sealedColumn {
	c.text = true
	return c
}

// SealedValue is an encrypted value somewhere in the database.
type SealedValue struct {
	// Sealed is the ciphertext, as the Encrypter gave it.
	Sealed []byte

	column  sealedColumn
	key     []any
	content any // as it stands in the column
	place   string
}

// EachSealedValue walks all encrypted values of the database, without a transaction: what is written meanwhile may be met or
// not.
func (s *Store) EachSealedValue(ctx context.Context, visit func(SealedValue) error) error {
	for _, c := range sealedColumns {
		if err := s.eachOf(ctx, c, visit); err != nil {
			return fmt.Errorf("%s.%s: %w", c.table, c.column, err)
		}
	}
	return nil
}

func (s *Store) eachOf(ctx context.Context, c sealedColumn, visit func(SealedValue) error) error {
	const batch = 500
	key := strings.Join(c.key, ", ")
	where := c.column + " IS NOT NULL"
	if c.where != "" {
		where += " AND " + c.where
	}
	if c.member != "" {
		where += " AND " + s.hasStringMemberSQL(c.column, c.member)
	}
	var after []any
	for {
		q := "SELECT " + key + ", " + c.id + " AS place_id, " + c.column + " FROM " + c.table + " WHERE " + where
		if after != nil {
			q += " AND (" + key + ") > (" + strings.TrimSuffix(strings.Repeat("?, ", len(c.key)), ", ") + ")"
		}
		rows, err := s.readSealed(ctx, c, q+" ORDER BY "+key+fmt.Sprintf(" LIMIT %d", batch), after)
		if err != nil {
			return err
		}
		for _, v := range rows {
			after = v.key
			if v.Sealed == nil {
				continue
			}
			if err := visit(v); err != nil {
				return err
			}
		}
		if len(rows) < batch {
			return nil
		}
	}
}

func (s *Store) readSealed(ctx context.Context, c sealedColumn, q string, args []any) ([]SealedValue, error) {
	rows, err := s.writer(ctx).Raw(q, args...).Rows()
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []SealedValue
	for rows.Next() {
		v := SealedValue{column: c, key: make([]any, len(c.key))}
		var id string
		into := make([]any, 0, len(c.key)+2)
		for i := range v.key {
			into = append(into, &v.key[i])
		}
		if err := rows.Scan(append(into, &id, &v.content)...); err != nil {
			return nil, err
		}
		v.place = c.at + id
		if v.Sealed, err = c.sealed(v.content); err != nil {
			return nil, fmt.Errorf("%s: %w", v.place, err)
		}
		out = append(out, v)
	}
	return out, rows.Err()
}

// sealed gives the ciphertext of what stands in the column; nil where that is empty or not encrypted.
func (c sealedColumn) sealed(content any) ([]byte, error) {
	if c.member != "" {
		object, _ := content.([]byte)
		var members map[string]json.RawMessage
		if err := json.Unmarshal(object, &members); err != nil {
			return nil, err
		}
		var sealed []byte
		if len(members[c.member]) == 0 {
			return nil, nil
		}
		err := json.Unmarshal(members[c.member], &sealed)
		return sealed, err
	}
	if !c.text {
		b, _ := content.([]byte)
		if len(b) == 0 {
			return nil, nil
		}
		return bytes.Clone(b), nil
	}
	text, _ := content.(string)
	if b, ok := content.([]byte); ok {
		text = string(b)
	}
	text, ok := strings.CutPrefix(text, sealedHooks)
	if !ok {
		return nil, nil
	}
	return base64.StdEncoding.DecodeString(text)
}

// Place names where a value stands: table, column and row.
func (v SealedValue) Place() string { return v.place }

// CheckSealed says whether a value can be decrypted.
func (s *Store) CheckSealed(v SealedValue) error {
	_, err := s.unseal(v.Sealed, v.place)
	return err
}

// SealAgain encrypts a value anew, with the key that encrypts now. False says that it was changed or removed meanwhile, which
// is as good: what is written now is encrypted with that key.
func (s *Store) SealAgain(ctx context.Context, v SealedValue) (bool, error) {
	plain, err := s.unseal(v.Sealed, v.place)
	if err != nil {
		return false, err
	}
	sealed, err := s.seal(plain, v.place)
	if err != nil {
		return false, err
	}
	var content any = sealed
	switch {
	case v.column.text:
		content = sealedHooks + base64.StdEncoding.EncodeToString(sealed)
	case v.column.member != "":
		// Nothing else of a snapshot may change, the order of its members included.
		object, _ := v.content.([]byte)
		content = bytes.Replace(object, quoted(v.Sealed), quoted(sealed), 1)
	}
	q := "UPDATE " + v.column.table + " SET " + v.column.column + " = ? WHERE " + strings.Join(v.column.key, " = ? AND ") + " = ? AND " + v.column.column + " = ?"
	u := s.writer(ctx).Exec(q, append(append([]any{content}, v.key...), v.content)...)
	return u.RowsAffected == 1, u.Error
}
