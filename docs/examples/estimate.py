"""Population estimates and individual fits for the two example models, without Jumeau.

    pip install numpy scipy
    python3 docs/examples/estimate.py

For theophylline.csv and indomethacin.csv:
1. population parameters by maximum likelihood, random effects integrated out by the Laplace approximation
   (interaction: residual variance at the individual prediction), diagonal Omega;
2. the most probable parameters of each subject (MAP) with the numbers that stand in the model files, by scipy's BFGS from
   several starts, to compare with `jumeau fit`;
3. worked numbers for the [[checks]] of the model files.
The closed forms below were written for this script; nothing is shared with the Rust engine.
"""
import csv
import os
import numpy as np
from scipy.optimize import minimize

HERE = os.path.dirname(os.path.abspath(__file__))


def read(name):
    rows = [r for r in open(os.path.join(HERE, name)) if not r.startswith("#")]
    subjects = {}
    for row in csv.DictReader(rows):
        s = subjects.setdefault(row["ID"], {"dose": 0.0, "t": [], "y": []})
        if row["EVID"] == "1":
            s["dose"] += float(row["AMT"])
        else:
            s["t"].append(float(row["TIME"]))
            s["y"].append(float(row["DV"]))
    ids = list(subjects)
    return ids, *(np.array([subjects[i][k] for i in ids]) for k in ("dose", "t", "y"))


def oral1(p, dose, t):
    """One compartment, first-order absorption; p = CL, V, ka."""
    CL, V, ka = p
    k = CL / V
    return dose * ka / (V * (ka - k)) * (np.exp(-k * t) - np.exp(-ka * t))


def bolus2(p, dose, t):
    """Two compartments, bolus; p = CL, V1, Q, V2."""
    CL, V1, Q, V2 = p
    k10, k12, k21 = CL / V1, Q / V1, Q / V2
    s = k10 + k12 + k21
    root = np.sqrt(s * s - 4 * k10 * k21)
    a, b = (s + root) / 2, (s - root) / 2
    return dose / V1 * ((a - k21) / (a - b) * np.exp(-a * t) + (k21 - b) / (a - b) * np.exp(-b * t))


class Problem:
    def __init__(self, file, model, names, error, start, varying):
        self.ids, self.dose, self.t, self.y = read(file)
        self.model, self.names, self.error, self.start, self.varying = model, names, error, np.log(start), varying

    def unpack(self, x):
        n, m = len(self.names), len(self.varying)
        theta, omega2 = np.exp(x[:n]), np.exp(x[n : n + m])
        add, prop = 0.0, 0.0
        s = np.exp(x[n + m :])
        if self.error == "proportional":
            prop = s[0]
        else:
            add, prop = s
        return theta, omega2, add, prop

    def ofv(self, eta, pop, who=slice(None)):
        """sum[ln var + (y - f)^2/var] + eta' Omega^-1 eta, one number a subject; eta: effects x subjects."""
        theta, omega2, add, prop = pop
        p = [np.full(eta.shape[1], th, dtype=eta.dtype) for th in theta]
        for k, place in enumerate(self.varying):
            p[place] = p[place] * np.exp(eta[k])
        f = self.model([x[:, None] for x in p], self.dose[who][:, None], self.t[who])
        var = add**2 + (prop * f) ** 2
        return (np.log(var) + (self.y[who] - f) ** 2 / var).sum(axis=1) + (eta**2 / omega2[:, None]).sum(axis=0)

    def gradient(self, eta, pop):
        m, n = eta.shape
        g = np.empty((m, n))
        for k in range(m):
            z = eta.astype(complex)
            z[k] += 1e-20j
            g[k] = self.ofv(z, pop).imag / 1e-20
        return g

    def hessian(self, eta, pop):
        m, n = eta.shape
        h = np.empty((n, m, m))
        for k in range(m):
            up, down = eta.copy(), eta.copy()
            up[k] += 1e-5
            down[k] -= 1e-5
            h[:, :, k] = ((self.gradient(up, pop) - self.gradient(down, pop)) / 2e-5).T
        return (h + h.transpose(0, 2, 1)) / 2

    def modes(self, eta, pop):
        """Damped Newton for all subjects at once."""
        value = self.ofv(eta, pop)
        for _ in range(60):
            g = self.gradient(eta, pop)
            if np.abs(g).max() < 1e-8:
                break
            h = self.hessian(eta, pop)
            w, v = np.linalg.eigh(h)
            w = np.maximum(np.abs(w), 1e-3)
            step = -np.einsum("nij,nj,nkj,kn->in", v, 1 / w, v, g)
            scale = np.ones(eta.shape[1])
            for _ in range(30):
                new = self.ofv(eta + scale * step, pop)
                worse = ~(new <= value + 1e-12)
                if not worse.any():
                    break
                scale[worse] /= 2
            scale[worse] = 0
            eta = eta + scale * step
            value = self.ofv(eta, pop)
        return eta, value

    def marginal(self, eta, pop):
        """-2 ln likelihood of each subject by the Laplace approximation, constants included."""
        eta, value = self.modes(eta, pop)
        _, logdet = np.linalg.slogdet(self.hessian(eta, pop) / 2)
        n = self.y.shape[1]
        return eta, value + logdet + np.log(pop[1]).sum() + n * np.log(2 * np.pi)

    def estimate(self):
        self.eta = np.zeros((len(self.varying), len(self.ids)))

        def total(x):
            pop = self.unpack(x)
            eta, m2ll = self.marginal(self.eta, pop)
            if not np.isfinite(m2ll).all():
                return 1e10
            self.eta = eta
            return m2ll.sum()

        x = self.start
        for _ in range(6):
            found = minimize(total, x, method="BFGS", options={"gtol": 1e-4})
            found = minimize(total, found.x, method="Nelder-Mead", options={"xatol": 1e-5, "fatol": 1e-7, "maxiter": 8000, "maxfev": 8000})
            if np.abs(found.x - x).max() < 1e-3:
                break
            x = found.x
        return self.unpack(found.x), found.fun

    def fit_each(self, pop):
        """MAP of each subject by BFGS from several starts; also standard deviations and shrinkage."""
        rows = []
        m = len(self.varying)
        rng = np.random.default_rng(1)
        for i in range(len(self.ids)):
            who = slice(i, i + 1)
            f = lambda e: self.ofv(e[:, None], pop, who)[0]
            g = lambda e: np.array([self.ofv((e + 1e-20j * np.eye(m)[k])[:, None], pop, who)[0].imag / 1e-20 for k in range(m)])
            best = min((minimize(f, rng.normal(size=m) * np.sqrt(pop[1]), jac=g, method="BFGS", options={"gtol": 1e-9}) for _ in range(6)), key=lambda r: r.fun)
            rows.append((best.x, best.fun))
        eta = np.array([r[0] for r in rows]).T
        h = self.hessian(eta, pop)
        cov = np.linalg.inv(h / 2)
        _, m2ll = self.marginal(eta, pop)
        return eta, np.array([r[1] for r in rows]), cov, m2ll


THEO = Problem("theophylline.csv", oral1, ["CL", "V", "ka"], "combined",
               [2.8, 32, 1.5, 0.07, 0.02, 0.4, 0.3, 0.1], [0, 1, 2])
# Variability of V1 comes out as nearly zero (variance 0.0015 with four random effects), so V1 has none.
INDO = Problem("indomethacin.csv", bolus2, ["CL", "V1", "Q", "V2"], "proportional",
               [7.8, 9, 5.5, 20, 0.05, 0.1, 0.06, 0.14], [0, 2, 3])

# What the model files say: the estimates, rounded. (theta, omega2, additive, proportional)
FILES = {
    "theophylline": (np.array([2.76, 31.8, 1.49]), np.array([0.0648, 0.0149, 0.390]), 0.266, 0.136),
    "indomethacin": (np.array([7.79, 9.02, 5.51, 19.7]), np.array([0.0345, 0.111, 0.0623]), 0.0, 0.144),
}


def show(name, problem):
    print(f"== {name}")
    pop, m2ll = problem.estimate()
    theta, omega2, add, prop = pop
    print("theta ", dict(zip(problem.names, theta.round(5))))
    print("omega2", dict(zip([problem.names[i] for i in problem.varying], omega2.round(6))))
    print("error  additive", round(add, 5), "proportional", round(prop, 5), " -2lnL", round(m2ll, 4))
    return pop


def worked():
    """Numbers for the [[checks]]."""
    t = np.array([0.5, 1, 2, 4, 8, 24])
    theta = FILES["theophylline"][0]
    c = oral1(theta, 320.0, t)
    # Area by the closed form of the integral.
    CL, V, ka = theta
    k = CL / V
    area = 320 * ka / (V * (ka - k)) * ((1 - np.exp(-k * t)) / k - (1 - np.exp(-ka * t)) / ka)
    peak = np.log(ka / k) / (ka - k)
    print("theophylline 320 mg:", *(f"t {a:g} C {b:.9g} AUC {d:.9g};" for a, b, d in zip(t, c, area)))
    print("  highest", f"{oral1(theta, 320.0, peak):.9g}", "at", f"{peak:.9g}", "half-life", np.log(2) / k)
    twice = sum(oral1(theta, 320.0, np.maximum(24.0 - 8 * j, 0)) for j in range(3))
    print("  320 mg at 0, 8, 16: C(24)", f"{twice:.9g}")
    theta = FILES["indomethacin"][0]
    t = np.array([0.25, 1, 3, 8])
    print("indomethacin 25 mg:", *(f"t {a:g} C {b:.9g};" for a, b in zip(t, bolus2(theta, 25.0, t))))


if __name__ == "__main__":
    worked()
    for name, problem in (("theophylline", THEO), ("indomethacin", INDO)):
        pop = FILES.get(name)
        estimated = show(name, problem)
        if pop is None:
            continue
        eta, ofv, cov, m2ll = problem.fit_each(pop)
        print("with the numbers of the model file: -2lnL", round(m2ll.sum(), 4))
        names = [problem.names[i] for i in problem.varying]
        for i, id in enumerate(problem.ids):
            p = np.array(pop[0], dtype=float)
            p[problem.varying] *= np.exp(eta[:, i])
            left = np.diag(cov[i]) / pop[1]
            print(id, "ofv", f"{ofv[i]:.6f}", "-2lnL", f"{m2ll[i]:.6f}", *(f"{n} {v:.6f}" for n, v in zip(problem.names, p)),
                  "eta", eta[:, i].round(6), "sd", np.sqrt(np.diag(cov[i])).round(5), "left", left.round(3))
