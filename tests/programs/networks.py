"""Layers with hand-written backward passes, and how they are trained."""

import numpy as np

from tests.programs.catalogue import Program


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def relu(x):
    return np.maximum(x, 0)


def softmax(x):
    shifted = np.exp(x - np.max(x, axis=-1, keepdims=True))
    return shifted / np.sum(shifted, axis=-1, keepdims=True)


def train_mlp(x, y, w1, b1, w2, b2, rate=0.1, epochs=5):
    """Two layers and cross-entropy; the parameters are updated in place."""
    n = x.shape[0]
    losses = np.zeros(epochs)
    for epoch in range(epochs):
        hidden = np.tanh(x @ w1 + b1)
        probs = softmax(hidden @ w2 + b2)
        losses[epoch] = -np.mean(np.log(probs[np.arange(n), y]))
        d_logits = probs.copy()
        d_logits[np.arange(n), y] -= 1
        d_logits /= n
        d_w2 = hidden.T @ d_logits
        d_b2 = d_logits.sum(axis=0)
        d_hidden = (d_logits @ w2.T) * (1 - hidden**2)
        d_w1 = x.T @ d_hidden
        d_b1 = d_hidden.sum(axis=0)
        w1 -= rate * d_w1
        b1 -= rate * d_b1
        w2 -= rate * d_w2
        b2 -= rate * d_b2
    return losses


def conv2d(images, weights):
    """Valid convolution of images (n, h, w, c) with weights (k, k, c, out)."""
    k = weights.shape[0]
    n, h, w, _ = images.shape
    h_out = h - k + 1
    w_out = w - k + 1
    output = np.empty((n, h_out, w_out, weights.shape[3]), dtype=images.dtype)
    for i in range(h_out):
        for j in range(w_out):
            output[:, i, j, :] = np.sum(
                images[:, i : i + k, j : j + k, :, np.newaxis] * weights[np.newaxis, :, :, :], axis=(1, 2, 3)
            )
    return output


def max_pool(x):
    output = np.empty((x.shape[0], x.shape[1] // 2, x.shape[2] // 2, x.shape[3]), dtype=x.dtype)
    for i in range(x.shape[1] // 2):
        for j in range(x.shape[2] // 2):
            output[:, i, j, :] = np.max(x[:, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2, :], axis=(1, 2))
    return output


def small_convnet(images, w1, b1, w2, b2, dense):
    x = relu(conv2d(images, w1) + b1)
    x = max_pool(x)
    x = relu(conv2d(x, w2) + b2)
    x = np.reshape(x, (x.shape[0], -1))
    return x @ dense


def conv_backward(d_out, x, w):
    """Gradients of a convolution of one image (c, h, w) with filters (f, c, k, k), by loops."""
    f, c, k, _ = w.shape
    dx = np.zeros_like(x)
    dw = np.zeros_like(w)
    db = np.zeros(f)
    for i in range(f):
        for y in range(d_out.shape[1]):
            for z in range(d_out.shape[2]):
                dw[i] += d_out[i, y, z] * x[:, y : y + k, z : z + k]
                dx[:, y : y + k, z : z + k] += d_out[i, y, z] * w[i]
                db[i] += d_out[i, y, z]
    return dx, dw, db


def batch_norm(x, gamma, beta, d_out, eps=1e-5):
    """Forward and backward pass."""
    n = x.shape[0]
    mu = x.mean(axis=0)
    var = x.var(axis=0)
    inv = 1.0 / np.sqrt(var + eps)
    x_hat = (x - mu) * inv
    out = gamma * x_hat + beta
    d_gamma = (d_out * x_hat).sum(axis=0)
    d_beta = d_out.sum(axis=0)
    d_xhat = d_out * gamma
    dx = inv / n * (n * d_xhat - d_xhat.sum(axis=0) - x_hat * (d_xhat * x_hat).sum(axis=0))
    return out, dx, d_gamma, d_beta


def rnn_loss(inputs, targets, h_prev, wxh, whh, why, bh, by):
    """Loss and gradients of a character model, back through time."""
    xs, hs, ps = {}, {}, {}
    hs[-1] = np.copy(h_prev)
    loss = 0
    vocabulary = wxh.shape[1]
    for t in range(len(inputs)):
        xs[t] = np.zeros((vocabulary, 1))
        xs[t][inputs[t]] = 1
        hs[t] = np.tanh(np.dot(wxh, xs[t]) + np.dot(whh, hs[t - 1]) + bh)
        logits = np.dot(why, hs[t]) + by
        ps[t] = np.exp(logits) / np.sum(np.exp(logits))
        loss += -np.log(ps[t][targets[t], 0])
    dwxh, dwhh, dwhy = np.zeros_like(wxh), np.zeros_like(whh), np.zeros_like(why)
    dbh, dby = np.zeros_like(bh), np.zeros_like(by)
    dh_next = np.zeros_like(hs[0])
    for t in reversed(range(len(inputs))):
        dy = np.copy(ps[t])
        dy[targets[t]] -= 1
        dwhy += np.dot(dy, hs[t].T)
        dby += dy
        dh = np.dot(why.T, dy) + dh_next
        dh_raw = (1 - hs[t] * hs[t]) * dh
        dbh += dh_raw
        dwxh += np.dot(dh_raw, xs[t].T)
        dwhh += np.dot(dh_raw, hs[t - 1].T)
        dh_next = np.dot(whh.T, dh_raw)
    for gradient in [dwxh, dwhh, dwhy, dbh, dby]:
        np.clip(gradient, -5, 5, out=gradient)
    return loss, dwxh, dwhh, dwhy, dbh, dby, hs[len(inputs) - 1]


def lstm(x, w, u, b):
    steps = x.shape[0]
    n = u.shape[0]
    h = np.zeros(n, dtype=x.dtype)
    c = np.zeros(n, dtype=x.dtype)
    outputs = np.zeros((steps, n), dtype=x.dtype)
    for t in range(steps):
        gates = x[t] @ w + h @ u + b
        i = sigmoid(gates[:n])
        f = sigmoid(gates[n : 2 * n])
        g = np.tanh(gates[2 * n : 3 * n])
        o = sigmoid(gates[3 * n :])
        c = f * c + i * g
        h = o * np.tanh(c)
        outputs[t] = h
    return outputs, c


def skip_gram(centre, context, negatives, w_in, w_out, rate=0.05):
    """One pass of word vectors with negative samples, in place."""
    loss = 0.0
    for k in range(len(centre)):
        v = w_in[centre[k]]
        targets = np.concatenate((context[k : k + 1], negatives[k]))
        labels = np.zeros(len(targets))
        labels[0] = 1
        scores = sigmoid(w_out[targets] @ v)
        loss -= np.log(scores[0]) + np.log(1 - scores[1:]).sum()
        error = scores - labels
        dv = error @ w_out[targets]
        np.add.at(w_out, targets, -rate * np.outer(error, v))
        w_in[centre[k]] -= rate * dv
    return loss


def perceptron(x, y, epochs=5):
    w = np.zeros(x.shape[1] + 1)
    mistakes = 0
    for _ in range(epochs):
        errors = 0
        for i in range(len(x)):
            score = w[0] + np.dot(w[1:], x[i])
            predicted = 1 if score >= 0 else -1
            if predicted != y[i]:
                w[1:] += y[i] * x[i]
                w[0] += y[i]
                errors += 1
        mistakes += errors
        if errors == 0:
            break
    return w, mistakes


def hopfield(patterns, state, sweeps=3):
    n = patterns.shape[1]
    weights = np.zeros((n, n))
    for p in patterns:
        weights += np.outer(p, p)
    np.fill_diagonal(weights, 0)
    weights /= len(patterns)
    for _ in range(sweeps):
        for i in range(n):
            state[i] = 1 if weights[i] @ state >= 0 else -1
    energy = -0.5 * state @ weights @ state
    return state, energy


def attention(x, wq, wk, wv, heads):
    n, d = x.shape
    size = d // heads
    q, k, v = x @ wq, x @ wk, x @ wv
    out = np.empty_like(x)
    mask = np.triu(np.ones((n, n), dtype=bool), k=1)
    for h in range(heads):
        part = slice(h * size, (h + 1) * size)
        scores = q[:, part] @ k[:, part].T / np.sqrt(size)
        scores[mask] = -1e9
        out[:, part] = softmax(scores) @ v[:, part]
    return out


def adam(params, grads, m, v, steps, rate=0.001, beta1=0.9, beta2=0.999, eps=1e-8):
    """Update a dictionary of parameters in place."""
    for t in range(1, steps + 1):
        for name in params:
            m[name] = beta1 * m[name] + (1 - beta1) * grads[name]
            v[name] = beta2 * v[name] + (1 - beta2) * grads[name] ** 2
            m_hat = m[name] / (1 - beta1**t)
            v_hat = v[name] / (1 - beta2**t)
            params[name] -= rate * m_hat / (np.sqrt(v_hat) + eps)


class Dense:
    """A layer that keeps what its backward pass needs."""

    def __init__(self, w, b):
        self.w = w
        self.b = b
        self.x = None

    def forward(self, x):
        self.x = x
        return x @ self.w + self.b

    def backward(self, grad, rate):
        dx = grad @ self.w.T
        self.w -= rate * self.x.T @ grad
        self.b -= rate * grad.sum(axis=0)
        return dx


def train_layers(layers, x, y, steps=4, rate=0.05):
    history = []
    for _ in range(steps):
        h = x
        masks = []
        for layer in layers:
            h = layer.forward(h)
            masks.append(h > 0)
            h = h * masks[-1]
        error = h - y
        history.append(0.5 * np.mean(error**2))
        grad = error / len(x)
        for layer, mask in zip(layers[::-1], masks[::-1]):
            grad = layer.backward(grad * mask, rate)
    return np.array(history)


def _weights(random, dtype, *shapes):
    return tuple((0.5 * random.standard_normal(shape)).astype(dtype) for shape in shapes)


def _mlp(size, dtype, random):
    x, *rest = _weights(random, dtype, (size, 5), (5, 7), (7,), (7, 3), (3,))
    return x, random.integers(0, 3, size), *rest


def _pictures(size, dtype, random):
    side = 10
    shapes = (size, side, side, 1), (3, 3, 1, 4), (4,), (3, 3, 4, 5), (5,), (20, 6)
    return _weights(random, dtype, *shapes)


def _gradients(size, dtype, random):
    return _weights(random, dtype, (3, size, size + 1), (2, size + 2, size + 3), (3, 2, 3, 3))


def _batch(size, dtype, random):
    return _weights(random, dtype, (size, 6), (6,), (6,), (size, 6))


def _characters(size, dtype, random):
    letters = random.integers(0, 5, size + 1)
    shapes = (8, 1), (8, 5), (8, 8), (5, 8), (8, 1), (5, 1)
    return letters[:-1], letters[1:], *_weights(random, dtype, *shapes)


def _recurrent(size, dtype, random):
    return _weights(random, dtype, (size, 4), (4, 24), (6, 24), (24,))


def _words(size, dtype, random):
    ids = [random.integers(0, 12, shape) for shape in (size, size, (size, 4))]
    return *ids, *_weights(random, dtype, (12, 8), (12, 8))


def _separable(size, dtype, random):
    x = random.standard_normal((size, 2)).astype(dtype)
    return x, np.where(x[:, 0] + 2 * x[:, 1] > 0.1, 1, -1)


def _memories(size, dtype, random):
    patterns = (2 * random.integers(0, 2, (3, size)) - 1).astype(dtype)
    return patterns, patterns[0] * np.where(random.random(size) < 0.2, -1, 1).astype(dtype)


def _tokens(size, dtype, random):
    return *_weights(random, dtype, (size, 12), (12, 12), (12, 12), (12, 12)), 3


def _parameters(size, dtype, random):
    shapes = {"w": (size, 3), "b": (size,)}
    params, grads = ({k: random.standard_normal(s).astype(dtype) for k, s in shapes.items()} for _ in range(2))
    m, v = ({k: np.zeros(s, dtype) for k, s in shapes.items()} for _ in range(2))
    return params, grads, m, v, 5


def _layers(size, dtype, random):
    w1, b1, w2, b2, x, y = _weights(random, dtype, (4, 6), (6,), (6, 2), (2,), (size, 4), (size, 2))
    return [Dense(w1, b1), Dense(w2, b2)], x, y


SUMS = "products are summed in another order"

PROGRAMS = (
    Program(train_mlp, _mlp, (9, 1, 40), 2_000, rounding=200, because=SUMS),
    Program(small_convnet, _pictures, (2, 1, 5), 16, rounding=100, because=SUMS),
    Program(conv_backward, _gradients, (4, 1, 9), 24),
    Program(batch_norm, _batch, (9, 2, 40), 5_000, rounding=500, because=SUMS),
    Program(rnn_loss, _characters, (5, 1, 12), 40, rounding=500, because=SUMS),
    Program(lstm, _recurrent, (6, 1, 0, 20), 400, rounding=100, because=SUMS),
    Program(skip_gram, _words, (6, 1, 20), 400, rounding=200, because=SUMS),
    Program(perceptron, _separable, (9, 1, 40), 800, rounding=20, because=SUMS),
    Program(hopfield, _memories, (9, 1, 30), 150, rounding=20, because=SUMS, traces=2, why="a diagonal of one element"),
    Program(attention, _tokens, (6, 1, 20), 200, rounding=200, because=SUMS),
    Program(adam, _parameters, (4, 1, 20), 5_000),
    Program(train_layers, _layers, (9, 1, 40), 2_000, rounding=200, because=SUMS),
)
