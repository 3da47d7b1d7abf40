"""tfvae."""
