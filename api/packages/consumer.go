package packages

import (
	"context"

	"slipway/api"
	"slipway/packages"
)

type consumerBody struct {
	Email      *string `json:"email"`
	PublicKey  *string `json:"public_key"`
	PrivateKey *string `json:"private_key"`
}

func (b consumerBody) input() packages.ConsumerInput {
	return packages.ConsumerInput{Email: b.Email, PublicKey: b.PublicKey, PrivateKey: b.PrivateKey}
}

func (s *surface) listConsumers(ctx context.Context, _ *struct{}) ([]consumerView, error) {
	list, err := s.Service.ReadConsumers(ctx, organizationOfRequest(ctx), "", api.SubjectOf(ctx))
	return api.Each(list, viewConsumer), err
}

func (s *surface) listConsumersByEmail(ctx context.Context, req *struct {
	Email string `path:"email"`
}) ([]consumerView, error) {
	if req.Email == "" {
		return []consumerView{}, nil // nobody's, and not everybody's
	}
	list, err := s.Service.ReadConsumers(ctx, organizationOfRequest(ctx), req.Email, api.SubjectOf(ctx))
	return api.Each(list, viewConsumer), err
}

func (s *surface) getConsumer(ctx context.Context, req *idPath) (consumerView, error) {
	c, err := s.Service.ReadConsumer(ctx, req.ID, api.SubjectOf(ctx))
	return shown(c, err, viewConsumer)
}

func (s *surface) createConsumer(ctx context.Context, req *struct {
	Body consumerBody `body:"json"`
}) (consumerView, error) {
	c, err := s.Service.CreateConsumer(ctx, organizationOfRequest(ctx), req.Body.input(), api.SubjectOf(ctx))
	return shown(c, err, viewConsumer)
}

func (s *surface) updateConsumer(ctx context.Context, req *struct {
	idPath
	Body consumerBody `body:"json"`
}) (consumerView, error) {
	c, err := s.Service.UpdateConsumer(ctx, req.ID, req.Body.input(), api.SubjectOf(ctx))
	return shown(c, err, viewConsumer)
}

func (s *surface) deleteConsumer(ctx context.Context, req *idPath) (api.Empty, error) {
	return api.Empty{}, s.Service.DeleteConsumer(ctx, req.ID, api.SubjectOf(ctx))
}

func (s *surface) listPackagesOfConsumer(ctx context.Context, req *idPath) ([]packageView, error) {
	list, err := s.Store.PackagesOfConsumer(ctx, req.ID)
	return api.Each(list, viewPackage), err
}
