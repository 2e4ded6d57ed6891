"""Batch norm over the images of all processes, so that their number does not change the result.

torch's SyncBatchNorm does this on GPUs only; here a process may also run on a CPU.
"""

from typing import Any

import torch
from torch import distributed, nn

from pipeline.backbone.classifier import batch_norms


def share_batch_norm(network: nn.Module) -> None:
    """Replace each batch norm by one that normalises over all processes; weights stay the same.

    Call it before an optimizer takes the parameters. Names in the state of the network stay.
    """
    shared = {norm: _shared(norm) for norm in batch_norms(network)}
    for name, module in list(network.named_modules()):
        if isinstance(module, nn.BatchNorm2d):
            network.set_submodule(name, shared[module])


def _shared(norm: nn.BatchNorm2d) -> "SharedBatchNorm":
    assert norm.affine and norm.track_running_stats and norm.momentum is not None
    twin = SharedBatchNorm(norm.num_features, norm.eps, norm.momentum)
    twin.load_state_dict(norm.state_dict())
    return twin.train(norm.training)


class SharedBatchNorm(nn.BatchNorm2d):
    """Batch norm with the mean and variance of what all processes were given.

    In evaluation, and where there is one process, it is torch's own, to the bit.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) to the same shape; B may differ between processes."""
        if not (self.training and distributed.is_initialized()):
            return super().forward(x)
        assert self.running_mean is not None and self.running_var is not None
        assert self.num_batches_tracked is not None and self.momentum is not None
        # First, as torch does: checkpointing may leave the rest out when it computes this again.
        self.num_batches_tracked += 1
        normalised, mean, unbiased = _Normalise.apply(x, self.weight, self.bias, self.eps)
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(unbiased, self.momentum)
        result: torch.Tensor = normalised
        return result


class _Normalise(torch.autograd.Function):
    """y = (x - m) w / sqrt(v + eps) + b with m and v over all processes, and its gradient.

    Backward as in Ioffe and Szegedy, "Batch Normalization", 2015, section 3, where sums over the
    batch become sums over all processes.
    """

    @staticmethod
    def forward(
        context: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, eps: float
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        var, mean = torch.var_mean(x.float(), dim=(0, 2, 3), correction=0)
        count = torch.full((1,), x.numel() / x.shape[1], device=x.device)
        own = torch.cat([count, mean, var])
        all_of_them = [torch.empty_like(own) for _ in range(distributed.get_world_size())]
        distributed.all_gather(all_of_them, own)
        gathered = torch.stack(all_of_them)
        counts, (means, variances) = gathered[:, :1], gathered[:, 1:].chunk(2, dim=1)
        # Chan et al., 1979: within the processes and between them.
        total = counts.sum()
        mean = (counts * means).sum(0) / total
        var = (counts * (variances + (means - mean).square())).sum(0) / total
        context.save_for_backward(x, weight, mean, torch.rsqrt(var + eps), total)
        normalised = torch.nn.functional.batch_norm(x, mean, var, weight, bias, False, 0.0, eps)
        unbiased = var * total / (total - 1)
        context.mark_non_differentiable(mean, unbiased)
        return normalised, mean, unbiased

    @staticmethod
    def backward(
        context: Any, gradient: torch.Tensor, *_: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, None]:
        x, weight, mean, inverse_std, total = context.saved_tensors
        g = gradient.float()
        z = (x.float() - _per_channel(mean)) * _per_channel(inverse_std)
        sums = torch.stack([g.sum((0, 2, 3)), (g * z).sum((0, 2, 3))])
        # DDP adds those of the processes.
        of_bias, of_weight = sums.unbind()
        everywhere = sums.clone()
        distributed.all_reduce(everywhere)
        first, second = (everywhere / total).unbind()
        scale = _per_channel(weight.float() * inverse_std)
        of_x = scale * (g - _per_channel(first) - z * _per_channel(second))
        return of_x.to(x.dtype), of_weight.to(weight.dtype), of_bias.to(weight.dtype), None


def _per_channel(values: torch.Tensor) -> torch.Tensor:
    return values.view(1, -1, 1, 1)
