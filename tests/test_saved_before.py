"""Models that the version before the rooms saved are loaded as they were.

They were written with it, at commit 70bcae4, by:

    x = np.random.default_rng(0).random((40, 4), np.float32)
    y = x[:, :3].argmax(axis=1)
    dense = pl.make_mlp(4, (6, 5), 3)
    pl.train(dense, x, y, 10, batch_size=20)
    units = {"hidden_2": np.array([1, 0, 1, 1, 0])}
    pruned = pl.prune(dense, pl.make_masks(dense, pl.magnitude, 0.5) | units)
    how = {"schedule": "rewound", "total": 10, "batch_size": 20, "optimizer": "sgd"}
    pl.retrain(pruned, dense, x, y, 4, **how)
    pl.export(pruned, "pruned.keras")
    pl.export(pruned, "pruned.npz")
"""

import base64
import lzma

import numpy as np
import pytest

import pruninglib as pl
from pruninglib.registered import EndOf

X = np.random.default_rng(0).random((40, 4), np.float32)
OUTPUTS = [0.01860889419913292, -0.048316650092601776, 0.047628987580537796]  # of X[1]
FILES = {  # base 85 of LZMA
    "pruned.keras": """
{Wp48S^xk9=GL@E0stWa8~^|S5YJf5;8i#Wl3f5O61-
q2m(_Ag*eHX%2^ow~3mQ|(dfi{iQsDx5)ii$T(elVj_;m9%R*UF)z=zq(2<dtbfp60?q)lsT%i)m7!irNpAW{T2muy^uqx4UNH+
e@p!nS0WeKecnwK1?~O9~{qlG)H{n3Ku}jYejl>K*xya>4X&%p@+VBTIHO)x5&vfb3-yAKr`mWraaA+ItG)-
j!KXC{xg#@%DZA(@+0lpojg!N3Go8UP6^H{o^d*LzsvnjDlhKF%&aZ)q}#+MuOSLY!e@phC$aey-
=86w0$3@E>bz9VkN_WsLXSOvdtGQNdt<<+<&d1;EJS83zu>L85<q;yU$ZnkKO8H+NOwUYS`_QX;yIX3^+OMfDlU^C$1C6fcmmFD
8T=BzRa49dKRJ!*Da#DBxzI2B1K`EgGa|$cai|I%I}A`*_WL`ilX{Uk1eya9ZNXpVZj|dgDiEh)7lrYz0n+UCA5}^YG)p_cP`Zj
Oi8){B}aChJn^UK@kY%{p+&|;1qU?<?oK>*Bg0mBZmj3m-PYp_0L|M|bZ$RskcmxD9(`Ik@TZcj-
l9++HE!_~5L5q@V&J#n5T9Y~0*FC>wIw&xR{a)>=GUA7Nmau-
L!!3Va+cSLhftKul>QJTquzSJ?~*}@4g%C7kW@PFx|w+@I;a5yYM<EaE@7PML2xFijsPqSy=&{WXPXYE8~@bx^jHEz&A<-
aJsb>{IAdC(YxY|Wzfs<2)FKJ+p)~4meCYg^c8<A}DR-Qe($NyaUry5RZ&_miFd85Q9jG0l5J)p{qm_IgD7c<SD^T5jA*TPjlhK
>KPb*p}Rq?G@F0mm$jVdGUDaM{id!d(bz!uU8bK$`|4U()qi{Swpm|7w1)`S>pVWS_sfvQVhx=ba~NUa?y(^OJd6OnRMLsW1$t$
UCUO9_Q~ML3N6u3^zJ$CFC;sIK%z^F$6fQE4_M835BFV)lIgAfIco&hP8)6h>=Ruy!eOG>sBI^tB$cCrB=!F7cZ+R0F~#A24r*7
QAWXj-}tOCz@P!q%&(XxVe+`gm!ZSXEuccumKn=M2frm=R+U$-;6?F4YfY3$0*3;mzW|W4dw78-
s<bwpSd8e{>AWlkJ(qhR<L(vMjg!+0tJqE30IYUK)tLakp_QG)$PFOk%Ors)%~S>0@OpC79mP!p+2PjUg4Q)Lefq{a<Gh+4l)$V
+B3-?7490!trY4QjWZ73e>qKszYGVOPdS<I$DmBuA$|;32HZy&G3mratw)$J=W?u~M2)UT3*VfU6i5DtH%+hh|A-
X4l8ecf!j$Q-
S_t~uYSvHDtvGH1i*7+4E~xB_!e2>eI6cXHZCY5JqwB$$M@zjxQfiA2FaP=!G$1XU5(3<#v63C<fRt00>_JK%rKuxKxCI!4I6~!
-+K~qCwPhOY7RkHB$T=9y_NvVGjQBEjMtgAe15v6$Hg#Yae`$~LtB(UDt40bSO?xtes#${>7Y{D3g+>cAKs30O*p}bp-
@Q^U`AG<FVl@ex?ZjHSXN$grQrhF(ya8#d)XerTG}me`Kh(Kevdn<YV-
m6gq8Bm+xWkb~lqPiY36T>KRw*SwW0YfgRb)!~f&!}piMbAX>o-
905*Z9|g7+nRC;?gkSOGKZh4k9M+PQ__wAb=2mgW}A|6k3fYj8xI&8_m=LE;vF0;Mc>YaDii6d>#ZUY0UsE^Ewp`gYc*m)#8p<O
$KoiW~lhw6>wE6~-S$>fH#_{@#hIudX?^;Tc!$oZ{}-
#18P&62T%(38@24eBY4p$vWXJkw{sK>yaH_g=@taS}aGS`}~0rBcyI3bZ<HKU|1&Tybf<MH(_-
+R{Zz@^(N7fI1J2Z{AnY4+k2&3IS?Eq3A4D<R5tFmmGvg8j6~1R*gaAHp<b?Zlb??WcMUwa<jdkovs!CSLv=m1Dp;CjNzU>I(!D
u5`=zKTEln+t$*BSjMaj$knJvBY8-
EOB^{cj=4d)k7A(P>INrs3+u2_%Yo_4m?o)jxJL&f!!);a)nVTP=Rj)tE?Ds(kCDpj4$pD!cr;L^_58CFZLo@n;W)z)(Yw9IVaZ
w+DtBuLChveXBA%{I*wmyf^GMay4b2nnak5m8zcJ&N#vW5tNhY3&N?r#{nS4c;w#?}>!>w$j{tC$qFR9(dg9?l2wHdPkj7IBF(C
CBWXQ>_?7zAxbn)_KxX1Tq{yvHM-_YSl*pyYja$=uS5;|I`;J0eql<COg{yc#dwGjSpUl$OQTR6M7MLIUTYPbxABt4_{-
95u3J|<*(MQEky9=#2x9l?uZMxOA0T|k!EFq<7hCXKzTDmX9&3<?8`udPHtkTcF?F_bb}eLjuEe0+>RmpR{Jl12Vi<ScW8bJJ=}
k7RqJfJ09|l@P{xcIj^<)X<`Xaj!v?|Zc+z216F<J~hu%`@vP*B!?HIWA{_(rac#b(%Xoiq%jPb|u_>iO-KZ<t#>9EFdW35rM3B
j}Fsd)Ffu`&pdybhqqX$@S{O%sk?rAYB*R%cL4e!T<mOOEEn<hm`2K00FKKxvBvGb=#fKvBYQl0ssI200dcD
""",
    "pruned.npz": """
{Wp48S^xk9=GL@E0stWa8~^|S5YJf5;0T}vwOs%x61-
q42XYxVvzLL5bHuHuBva5hhN|Fcv!Di=1xwuIsm#O*)Cc6bJM<W0%;mMJS|yUB4B@Ya4;8l9ERXnIN-AmN3si8!Bmh#W+ZE<_HH
bl1qs75Y0s5%}Nf-t#XI?~JLP7KvzJ$~1T1Wpg7yeRBMuGTaFCdinBqtm(VC4pE&k~*bj0kDXY%BhFpM;I2vBJ=MjqGjOs5JC-
4+^f6&PdT?|CZx|Mq1Jd*V2<`yi~QCUeZ3_L|(rA?pFJ;&+{>JAkWP5{LK@<db*#Nwdi?x&8F8$#4)O3a#X+yV0h1%RV^dn^Mnq
v<#OgASQXD4xRZ-DlR@$1g;wN|(kHN+Y_vMN_)%ae*Uxan<fP*B`F9Ag3xae6-
YdcSoW_&Dyk>0hUhC}4#C;KSvX|m$R)oz#*WBXFtnelyY(22yPwih*dNrLJOgUJo=5p3W50jHqz-;_7Us7(Yoz0~o?Oh{-
z?N|F>4cLxl)V0p7{aj1XUfBe>6z|VFz6Pj6sXgRaGY7NOQLzF^H*2v`k(Lgm4x364`ZgSLUTmuI*vE$>lEc0Q`h9+sIy<!)G8w
LscKS;qGVD?aY$QqGk%_ZVE}o(nxn~>MGpQ9Ee87eRuKBO^6dyq<LYA3Tk*!|wbOFM){bnS9BU@!PC)ob52)C0J>0OuJgxw7ND#
Zx2v;&$D=GJnaWoFbppdk_X2cct{fO<#&X61`0?dMW`aG5lnR|R13(X}-
aFt6hy`o(1n|=FnOSDz^8nXr>QHXYPq0>@d0v=Se{r(D;Ar$CGp_;W&w{=#K!PmmSE+vSP^eMc;d4+U7y4xV3lCfjUv$K0Y-
Uy$qDMMkkw3X$od%dk*CRYuOENG!q(4-<yq$0ZDSc-exfBfulULw$T_gk~{ZiwX`?5hoE7A`EaB7-
7EoRqeMYrt&aV0*(HH4bc`KW9v18^+H+I&76jkO(R}+$dSvzib4`bvk6Z0-
4JgcJsp43&e<|X1BNdU+AVdqBuI=*wNEf?*(`236OTgMG8&1$dn#Z0%lweZQzJ)KBdU)6_u8m;E{0)g2O+XlfBX7R!-
i$02eW(Vd_BY?(m~mEY&(6#mW4`jF-GNbR}Jj0%!%_cduB!F>ymrz@sCS*;lWc!q8E!<pSfdX8YL>ZnsPbPYpEMEsu4)A5OKSvZ
jjDk{AHBjL$QHV8)D&PvL$$o`hrS(yS)c*G09OD|5*lehp&c4BE&|aj0_#3wZPBRK?v-
DFxgGf0&xp42N@3qJn}&fz7E+G`u8vI=#4V<<A<-
n8UP1719he)LAPnZxKj+ky!kJb%OuLR&3f0wzSJ%JxK`i4@z(#|8k@;Nfcz&>evh;$nv*?V57aA#Uq-
(Oj%bb@ePIl&2$7q8s7^i(@m)c;Rc5h<k~1~07f?^tFxbW(|qp)c?LB&iaf4z`PC(Ac6)}Z%B4OE%%Vx%=|UJoz{JIOslgz3uH|
1zsB-X_fo|mxN@-
tf?834ET`?bDvr&lxvwLeQuQj48ac|1~YIr4*rJQ_I<cGQqH}o}CqUy}Y`=!;z1I*Jgdz56%eggPd@O&3)o31+;<5cUjb7P=_9x
^v1<rvPavagUMFZ9A1u681~&C#U-0<x?|siU%L&^<fO^UcAdz4SF<e=cEjD;F-jJ4&8dq13mD06ACD&rHo$;r5Cv-
v2A08{NwnmvW*21NZT_#JHE@!ds39JBEiQ+`?@U0zX-6kSFMMpc)Bh4knH*(2i-
@C1vm6g`y8%wP&y(=&JWf*POC5LRiTsF_>TCuYHpV7a<iq;KFAA?=Ph<nxMdrKay$y=E$MQ7&l4EW5v}x5MC2MkP=Kk3U#;9KM6
ifpDl1ViMPXT%oF@h8CFAU5KvqPOVSaJJkcA<o*+j600000?-ZgDh4UN-00Gepp%DN8VV%^4vBYQl0ssI200dcD
""",
}


@pytest.fixture(params=FILES)
def saved(request, tmp_path):
    path = tmp_path / request.param
    path.write_bytes(lzma.decompress(base64.b85decode("".join(FILES[request.param].split()))))
    return pl.load(path)


def test_its_outputs_are_the_same(saved):
    assert saved.predict(X[1:2], verbose=0)[0] == pytest.approx(OUTPUTS, rel=1e-5)


def test_its_masks_are_held_and_its_schedule_goes_on(saved):
    assert pl.measure_sparsity(saved) == pytest.approx(24 / 54)
    assert isinstance(saved.optimizer._learning_rate, EndOf)
    saved.fit(X, X[:, :3].argmax(axis=1), verbose=0)
    assert pl.measure_sparsity(saved) == pytest.approx(24 / 54)


def test_it_can_be_shrunk_and_stripped(saved):
    assert [layer.units for layer in pl.shrink(saved).layers] == [6, 3, 3]
    assert pl.strip(saved).get_layer("hidden_1").kernel_constraint is None
