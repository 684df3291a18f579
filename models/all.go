package models

import "gorm.io/gorm"

// all runs a query for any number of rows.
func all[T any](q *gorm.DB) ([]T, error) {
	var list []T
	err := q.Find(&list).Error
	return list, err
}
