"""What an export draws codes from, and walks go through: the prior, or a density fitted to codes after training.

The codes of all images together are seldom distributed as the prior, and where there are no codes the decoder has
learned nothing (Ghosh et al. 2020). Each sampler has `from_base(noise)`, from noise N(0, I) to latents, its inverse
`to_base(latents)`, `log_prob(latents)` in nats, and `draw(noise, std)`, from noise N(0, std^2 I) to latents. The
training's bound is that of the prior.
"""

from tfvae.samplers.choice import FEW, make
from tfvae.samplers.continuous_flow import ContinuousFlow

__all__ = ["FEW", "ContinuousFlow", "make"]
