"""erf and erfc.

erf is x times a polynomial in x**2 for |x| < 1 and 1 - e**-g(|x|) beyond, g a polynomial. erfc keeps its relative
accuracy down to the smallest subnormal: (1 + 2x) * e**(x**2) * erfc(x) is a smooth function of (x - k) / (x + k), and
x**2 is carried in two parts.
"""

from __future__ import annotations

from tracejit.codegen_llvm.vector_math.builder import Builder, Value
from tracejit.codegen_llvm.vector_math.exponential import exp_minus_one_of_rest, exp_parts, reduce_by_ln2

# erf(x) / x - 1 in x**2 on |x| <= 1 (f32: 0.9): relative error of erf 2**-56.0 and 2**-26.0.
ERF_NEAR = {
    "f64": (
        0.12837916709551256,
        -0.37612638903183343,
        0.11283791670936942,
        -0.026866170641956046,
        0.005223977596694052,
        -0.0008548325482148737,
        0.00012055280385053027,
        -1.4924462981974232e-05,
        1.644411137194964e-06,
        -1.6183642060232667e-07,
        1.3614979973912633e-08,
        -7.604219418874969e-10,
    ),
    "f32": (
        0.12837915122509003,
        -0.3761250376701355,
        0.11281921714544296,
        -0.026770491153001785,
        0.004998952616006136,
        -0.0006020746077410877,
    ),
}

# -log(erfc(x)) in x on 1 <= x <= 5.95 (f32: 0.9 to 3.95), weighted for erf: its relative error is 2**-56.9 and
# 2**-29.1.
ERF_FAR = {
    "f64": (
        5.03725273606842e-07,
        1.1283740811414256,
        0.6366436649382802,
        0.10270333904557476,
        -0.018989989681525515,
        -0.00041088890219007323,
        0.001916216563127623,
        -0.0007708648544675466,
        0.00013519140091426763,
        2.0195889624138295e-05,
        -2.27945019682657e-05,
        8.658479894822957e-06,
        -2.1335919032868144e-06,
        3.729231630975633e-07,
        -4.637226959976213e-08,
        3.929605567853512e-09,
        -2.0423275376873436e-10,
        4.9217044854149835e-12,
    ),
    "f32": (
        0.0001666856260271743,
        1.1277961730957031,
        0.636978030204773,
        0.10411184281110764,
        -0.022314267233014107,
        0.003065237309783697,
        -0.00019819203589577228,
    ),
}
ERF_BOUNDARY = {"f64": 1.0, "f32": 0.9}
ERF_SATURATION = {"f64": 5.95, "f32": 3.95}

# (1 + 2 x) * e**(x**2) * erfc(x) in t = (x - k) / (x + k) on 0.4 <= x <= 27.3 (f32: 10.1): relative error 2**-55.6 and
# 2**-28.2.
# The leading coefficient for f32 is one of f64, taken in two parts.
ERFC_CENTRE = {"f64": 3.5, "f32": 2.5}
ERFC_SCALED = {
    "f64": (
        1.2423492448711544,
        -0.14000918013761945,
        -0.010555596332218486,
        0.09751909515326437,
        -0.11508959816017975,
        0.08798315382464354,
        -0.048823325828187276,
        0.01909933094632962,
        -0.0042150199045135435,
        -0.00030226791576644,
        0.0005643843969463452,
        -0.00012151219559587368,
        -4.278215433510118e-05,
        2.426010176009076e-05,
        2.3281378073371456e-06,
        -3.812469010807596e-06,
        -4.400929611008665e-08,
        5.974695544684319e-07,
        -8.100223995680817e-09,
        -9.09237754680128e-08,
        6.277887558939673e-10,
        9.70216005272396e-09,
    ),
    "f32": (
        1.2648381830251256,
        -0.12235677242279053,
        -0.09902437776327133,
        0.15763024985790253,
        -0.10297055542469025,
        0.032756201922893524,
        0.000957705604378134,
        -0.0043518515303730965,
        0.00041286219493485987,
        0.0005396830383688211,
    ),
}
ERFC_BOUNDARY = 0.65
ERFC_UNDERFLOW = {"f64": 27.3, "f32": 10.1}


def erf(b: Builder, x: Value) -> Value:
    """The error function."""
    name = b.format.name
    size = b.absolute(x)
    exponent = b.polynomial(b.at_most(size, ERF_SATURATION[name]), ERF_FAR[name])
    rest, raw = reduce_by_ln2(b, -exponent, b.format.bias)
    power = b.power_of_two(raw)
    far = b.copy_sign(b.fma(-exp_minus_one_of_rest(b, rest), power, 1.0 - power), x)
    near = b.select(b.equal(x, 0.0), x, b.fma(x, b.polynomial(x * x, ERF_NEAR[name]), x))
    return b.select(size < ERF_BOUNDARY[name], near, far)


def erfc(b: Builder, x: Value) -> Value:
    """The complementary error function, 1 - erf(x)."""
    name = b.format.name
    size = b.absolute(x)
    limited = b.at_most(size, ERFC_UNDERFLOW[name])
    centre = ERFC_CENTRE[name]
    t = (limited - centre) / (limited + centre)
    leading, *others = ERFC_SCALED[name]
    scaled, scaled_low = b.sum_ordered(leading, t * b.polynomial(t, others))
    scaled_low = scaled_low + (leading - b.format.rounded(leading))
    quotient, quotient_low = b.divide_pairs((scaled, scaled_low), b.sum_exact(limited * 2.0, 1.0))
    square, square_low = b.product(limited, limited)
    growth, raw = exp_parts(b, -square, -square_low)
    product_low = b.fma(quotient_low, growth, quotient_low)
    positive = b.scale(quotient + b.fma(quotient, growth, product_low), raw)
    far = b.select(x < 0.0, 2.0 - positive, positive)
    # 1 - x is exact or harmless, and what is subtracted from it small.
    near = b.fma(-x, b.polynomial(x * x, ERF_NEAR[name]), 1.0 - x)
    return b.select(size < ERFC_BOUNDARY, near, far)
