// ECP5 block RAM, 18 kbit: as two ports (DP16KD), or as one that writes and one that reads (PDPW16KD).
//
// Source: Lattice FPGA-TN-02204, "ECP5 and ECP5-5G Memory Usage Guide". Contents at the start must be zero, both clocks the same net.

// Ports A and B of DATA_WIDTH 1, 2, 4, 9 or 18, both the same. Address bit 13 is the highest; words wider than one bit leave the
// lowest bits out, of which 1..0 are byte enables of an 18-bit write. A port does nothing unless CE is high and CS is CSDECODE.
//
// With DATA_WIDTH_A = 36 it is a PDPW16KD: A writes, with the byte enables in ADA3..0 and the upper half of the word at DIB; B reads,
// with the upper half of a word of 36 bits, or a narrower word, at DOB.
module DP16KD #(
    parameter DATA_WIDTH_A = 18, DATA_WIDTH_B = 18, REGMODE_A = "NOREG", REGMODE_B = "NOREG",
    parameter WRITEMODE_A = "NORMAL", WRITEMODE_B = "NORMAL", CSDECODE_A = "0b000", CSDECODE_B = "0b000",
    parameter CLKAMUX = "CLKA", CLKBMUX = "CLKB", RESETMODE = "SYNC", ASYNC_RESET_RELEASE = "SYNC", GSR = "ENABLED",
    parameter INIT_DATA = "STATIC",
    parameter [319:0] INITVAL_00 = 320'h0, INITVAL_01 = 320'h0, INITVAL_02 = 320'h0, INITVAL_03 = 320'h0, INITVAL_04 = 320'h0,
        INITVAL_05 = 320'h0, INITVAL_06 = 320'h0, INITVAL_07 = 320'h0, INITVAL_08 = 320'h0, INITVAL_09 = 320'h0, INITVAL_0A =
        320'h0, INITVAL_0B = 320'h0, INITVAL_0C = 320'h0, INITVAL_0D = 320'h0, INITVAL_0E = 320'h0, INITVAL_0F = 320'h0,
        INITVAL_10 = 320'h0, INITVAL_11 = 320'h0, INITVAL_12 = 320'h0, INITVAL_13 = 320'h0, INITVAL_14 = 320'h0, INITVAL_15 =
        320'h0, INITVAL_16 = 320'h0, INITVAL_17 = 320'h0, INITVAL_18 = 320'h0, INITVAL_19 = 320'h0, INITVAL_1A = 320'h0,
        INITVAL_1B = 320'h0, INITVAL_1C = 320'h0, INITVAL_1D = 320'h0, INITVAL_1E = 320'h0, INITVAL_1F = 320'h0, INITVAL_20 =
        320'h0, INITVAL_21 = 320'h0, INITVAL_22 = 320'h0, INITVAL_23 = 320'h0, INITVAL_24 = 320'h0, INITVAL_25 = 320'h0,
        INITVAL_26 = 320'h0, INITVAL_27 = 320'h0, INITVAL_28 = 320'h0, INITVAL_29 = 320'h0, INITVAL_2A = 320'h0, INITVAL_2B =
        320'h0, INITVAL_2C = 320'h0, INITVAL_2D = 320'h0, INITVAL_2E = 320'h0, INITVAL_2F = 320'h0, INITVAL_30 = 320'h0,
        INITVAL_31 = 320'h0, INITVAL_32 = 320'h0, INITVAL_33 = 320'h0, INITVAL_34 = 320'h0, INITVAL_35 = 320'h0, INITVAL_36 =
        320'h0, INITVAL_37 = 320'h0, INITVAL_38 = 320'h0, INITVAL_39 = 320'h0, INITVAL_3A = 320'h0, INITVAL_3B = 320'h0,
        INITVAL_3C = 320'h0, INITVAL_3D = 320'h0, INITVAL_3E = 320'h0, INITVAL_3F = 320'h0
) (
    input DIA0, DIA1, DIA2, DIA3, DIA4, DIA5, DIA6, DIA7, DIA8, DIA9, DIA10, DIA11, DIA12, DIA13, DIA14, DIA15, DIA16, DIA17,
    input DIB0, DIB1, DIB2, DIB3, DIB4, DIB5, DIB6, DIB7, DIB8, DIB9, DIB10, DIB11, DIB12, DIB13, DIB14, DIB15, DIB16, DIB17,
    input ADA0, ADA1, ADA2, ADA3, ADA4, ADA5, ADA6, ADA7, ADA8, ADA9, ADA10, ADA11, ADA12, ADA13,
    input ADB0, ADB1, ADB2, ADB3, ADB4, ADB5, ADB6, ADB7, ADB8, ADB9, ADB10, ADB11, ADB12, ADB13,
    input CEA, OCEA, CLKA, WEA, RSTA, CSA0, CSA1, CSA2, CEB, OCEB, CLKB, WEB, RSTB, CSB0, CSB1, CSB2,
    output DOA0, DOA1, DOA2, DOA3, DOA4, DOA5, DOA6, DOA7, DOA8, DOA9, DOA10, DOA11, DOA12, DOA13, DOA14, DOA15, DOA16, DOA17,
    output DOB0, DOB1, DOB2, DOB3, DOB4, DOB5, DOB6, DOB7, DOB8, DOB9, DOB10, DOB11, DOB12, DOB13, DOB14, DOB15, DOB16, DOB17
);
    localparam PSEUDO = DATA_WIDTH_A == 36;
    localparam INITIAL = |{INITVAL_00, INITVAL_01, INITVAL_02, INITVAL_03, INITVAL_04, INITVAL_05, INITVAL_06, INITVAL_07,
        INITVAL_08, INITVAL_09, INITVAL_0A, INITVAL_0B, INITVAL_0C, INITVAL_0D, INITVAL_0E, INITVAL_0F, INITVAL_10, INITVAL_11,
        INITVAL_12, INITVAL_13, INITVAL_14, INITVAL_15, INITVAL_16, INITVAL_17, INITVAL_18, INITVAL_19, INITVAL_1A, INITVAL_1B,
        INITVAL_1C, INITVAL_1D, INITVAL_1E, INITVAL_1F, INITVAL_20, INITVAL_21, INITVAL_22, INITVAL_23, INITVAL_24, INITVAL_25,
        INITVAL_26, INITVAL_27, INITVAL_28, INITVAL_29, INITVAL_2A, INITVAL_2B, INITVAL_2C, INITVAL_2D, INITVAL_2E, INITVAL_2F,
        INITVAL_30, INITVAL_31, INITVAL_32, INITVAL_33, INITVAL_34, INITVAL_35, INITVAL_36, INITVAL_37, INITVAL_38, INITVAL_39,
        INITVAL_3A, INITVAL_3B, INITVAL_3C, INITVAL_3D, INITVAL_3E, INITVAL_3F};

    if (INITIAL) $fatal(1, "DP16KD: INITVAL must be zero");
    if (PSEUDO ? DATA_WIDTH_B != 9 && DATA_WIDTH_B != 18 && DATA_WIDTH_B != 36
        : DATA_WIDTH_A != DATA_WIDTH_B
          || DATA_WIDTH_A != 1 && DATA_WIDTH_A != 2 && DATA_WIDTH_A != 4 && DATA_WIDTH_A != 9 && DATA_WIDTH_A != 18)
        $fatal(1, "DP16KD: DATA_WIDTH must be 1, 2, 4, 9 or 18 for both ports, or 36 for A and 9, 18 or 36 for B");
    if (REGMODE_A != "NOREG" && REGMODE_A != "OUTREG" || REGMODE_B != "NOREG" && REGMODE_B != "OUTREG")
        $fatal(1, "DP16KD: REGMODE must be NOREG or OUTREG");
    if (WRITEMODE_A != "NORMAL" && WRITEMODE_A != "READBEFOREWRITE" || WRITEMODE_B != "NORMAL" && WRITEMODE_B != "READBEFOREWRITE")
        $fatal(1, "DP16KD: WRITEMODE must be NORMAL or READBEFOREWRITE");
    if (CLKAMUX != "CLKA" || CLKBMUX != "CLKB" || RESETMODE != "SYNC")
        $fatal(1, "DP16KD: clocks must not be inverted, RESETMODE must be SYNC");
    if (DATA_WIDTH_B == 36 && REGMODE_A != REGMODE_B) $fatal(1, "DP16KD: both REGMODE must be the same for a word of 36 bits");
    always_comb if (CLKA != CLKB) $fatal(1, "DP16KD: CLKA and CLKB must be one clock");

    // A digit of the text "0b210" is odd where the bit of CS must be set.
    localparam [39:0] DECODE_A = CSDECODE_A, DECODE_B = CSDECODE_B;
    wire ena = CEA && {CSA2, CSA1, CSA0} == {DECODE_A[16], DECODE_A[8], DECODE_A[0]};
    wire enb = CEB && {CSB2, CSB1, CSB0} == {DECODE_B[16], DECODE_B[8], DECODE_B[0]};
    wire [17:0] dia = {DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8, DIA7, DIA6, DIA5, DIA4, DIA3, DIA2,
        DIA1, DIA0};
    wire [17:0] dib = {DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7, DIB6, DIB5, DIB4, DIB3, DIB2,
        DIB1, DIB0};
    wire [13:0] ada = {ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2, ADA1, ADA0};
    wire [13:0] adb = {ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2, ADB1, ADB0};
    wire [17:0] doa, dob;
    assign {DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6, DOA5, DOA4, DOA3, DOA2, DOA1, DOA0} =
        doa;
    assign {DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6, DOB5, DOB4, DOB3, DOB2, DOB1, DOB0} =
        dob;

    if (PSEUDO) begin
        wire [DATA_WIDTH_B-1:0] q;
        gradgate_ebr_pseudo #(.WIDTH(DATA_WIDTH_B), .REGISTERED(REGMODE_B == "OUTREG")) ram (
            .clk(CLKA), .write(ena && WEA), .read(enb), .oce(OCEB), .rst(RSTB),
            .at_w(ada[13:5]), .parts(ada[3:0]), .data({dib, dia}), .ad_r(adb), .q(q));
        if (DATA_WIDTH_B == 36) assign {dob, doa} = q;
        else assign {doa, dob} = 36'(q);
        always_comb if (WEB) $fatal(1, "DP16KD: port B of a DP16KD with DATA_WIDTH_A = 36 cannot write");
        if (DATA_WIDTH_B == 36 && REGMODE_B == "OUTREG")
            always_comb if (OCEA != OCEB) $fatal(1, "DP16KD: OCEA and OCEB must be the same for a word of 36 bits");
    end else
        gradgate_ebr_dual #(
            .WIDTH(DATA_WIDTH_A), .REGISTERED_A(REGMODE_A == "OUTREG"), .REGISTERED_B(REGMODE_B == "OUTREG"),
            .OLD_A(WRITEMODE_A == "READBEFOREWRITE"), .OLD_B(WRITEMODE_B == "READBEFOREWRITE")
        ) ram (
            .clk(CLKA), .ena(ena), .enb(enb), .wea(WEA), .web(WEB), .ocea(OCEA), .oceb(OCEB), .rsta(RSTA), .rstb(RSTB),
            .ada(ada), .adb(adb), .dia(dia), .dib(dib), .doa(doa), .dob(dob));
endmodule

// Writes words of 36 bits, a quarter of 9 for every bit of BE; reads words of 9, 18 or 36 bits. A narrow word comes at the lowest pins
// DO. Of a word of 36 bits the halves are exchanged: DO17..0 has what was written by DI35..18, and DO35..18 the rest.
module PDPW16KD #(
    parameter DATA_WIDTH_W = 36, DATA_WIDTH_R = 36, REGMODE = "NOREG", CSDECODE_W = "0b000", CSDECODE_R = "0b000",
    parameter CLKWMUX = "CLKW", CLKRMUX = "CLKR", RESETMODE = "SYNC", ASYNC_RESET_RELEASE = "SYNC", GSR = "ENABLED",
    parameter INIT_DATA = "STATIC",
    parameter [319:0] INITVAL_00 = 320'h0, INITVAL_01 = 320'h0, INITVAL_02 = 320'h0, INITVAL_03 = 320'h0, INITVAL_04 = 320'h0,
        INITVAL_05 = 320'h0, INITVAL_06 = 320'h0, INITVAL_07 = 320'h0, INITVAL_08 = 320'h0, INITVAL_09 = 320'h0, INITVAL_0A =
        320'h0, INITVAL_0B = 320'h0, INITVAL_0C = 320'h0, INITVAL_0D = 320'h0, INITVAL_0E = 320'h0, INITVAL_0F = 320'h0,
        INITVAL_10 = 320'h0, INITVAL_11 = 320'h0, INITVAL_12 = 320'h0, INITVAL_13 = 320'h0, INITVAL_14 = 320'h0, INITVAL_15 =
        320'h0, INITVAL_16 = 320'h0, INITVAL_17 = 320'h0, INITVAL_18 = 320'h0, INITVAL_19 = 320'h0, INITVAL_1A = 320'h0,
        INITVAL_1B = 320'h0, INITVAL_1C = 320'h0, INITVAL_1D = 320'h0, INITVAL_1E = 320'h0, INITVAL_1F = 320'h0, INITVAL_20 =
        320'h0, INITVAL_21 = 320'h0, INITVAL_22 = 320'h0, INITVAL_23 = 320'h0, INITVAL_24 = 320'h0, INITVAL_25 = 320'h0,
        INITVAL_26 = 320'h0, INITVAL_27 = 320'h0, INITVAL_28 = 320'h0, INITVAL_29 = 320'h0, INITVAL_2A = 320'h0, INITVAL_2B =
        320'h0, INITVAL_2C = 320'h0, INITVAL_2D = 320'h0, INITVAL_2E = 320'h0, INITVAL_2F = 320'h0, INITVAL_30 = 320'h0,
        INITVAL_31 = 320'h0, INITVAL_32 = 320'h0, INITVAL_33 = 320'h0, INITVAL_34 = 320'h0, INITVAL_35 = 320'h0, INITVAL_36 =
        320'h0, INITVAL_37 = 320'h0, INITVAL_38 = 320'h0, INITVAL_39 = 320'h0, INITVAL_3A = 320'h0, INITVAL_3B = 320'h0,
        INITVAL_3C = 320'h0, INITVAL_3D = 320'h0, INITVAL_3E = 320'h0, INITVAL_3F = 320'h0
) (
    input DI0, DI1, DI2, DI3, DI4, DI5, DI6, DI7, DI8, DI9, DI10, DI11, DI12, DI13, DI14, DI15, DI16, DI17, DI18, DI19, DI20,
        DI21, DI22, DI23, DI24, DI25, DI26, DI27, DI28, DI29, DI30, DI31, DI32, DI33, DI34, DI35,
    input ADW0, ADW1, ADW2, ADW3, ADW4, ADW5, ADW6, ADW7, ADW8,
    input ADR0, ADR1, ADR2, ADR3, ADR4, ADR5, ADR6, ADR7, ADR8, ADR9, ADR10, ADR11, ADR12, ADR13,
    input BE0, BE1, BE2, BE3, CEW, CLKW, CSW0, CSW1, CSW2, CER, OCER, CLKR, CSR0, CSR1, CSR2, RST,
    output DO0, DO1, DO2, DO3, DO4, DO5, DO6, DO7, DO8, DO9, DO10, DO11, DO12, DO13, DO14, DO15, DO16, DO17, DO18, DO19, DO20,
        DO21, DO22, DO23, DO24, DO25, DO26, DO27, DO28, DO29, DO30, DO31, DO32, DO33, DO34, DO35
);
    localparam INITIAL = |{INITVAL_00, INITVAL_01, INITVAL_02, INITVAL_03, INITVAL_04, INITVAL_05, INITVAL_06, INITVAL_07,
        INITVAL_08, INITVAL_09, INITVAL_0A, INITVAL_0B, INITVAL_0C, INITVAL_0D, INITVAL_0E, INITVAL_0F, INITVAL_10, INITVAL_11,
        INITVAL_12, INITVAL_13, INITVAL_14, INITVAL_15, INITVAL_16, INITVAL_17, INITVAL_18, INITVAL_19, INITVAL_1A, INITVAL_1B,
        INITVAL_1C, INITVAL_1D, INITVAL_1E, INITVAL_1F, INITVAL_20, INITVAL_21, INITVAL_22, INITVAL_23, INITVAL_24, INITVAL_25,
        INITVAL_26, INITVAL_27, INITVAL_28, INITVAL_29, INITVAL_2A, INITVAL_2B, INITVAL_2C, INITVAL_2D, INITVAL_2E, INITVAL_2F,
        INITVAL_30, INITVAL_31, INITVAL_32, INITVAL_33, INITVAL_34, INITVAL_35, INITVAL_36, INITVAL_37, INITVAL_38, INITVAL_39,
        INITVAL_3A, INITVAL_3B, INITVAL_3C, INITVAL_3D, INITVAL_3E, INITVAL_3F};

    if (INITIAL) $fatal(1, "PDPW16KD: INITVAL must be zero");
    if (DATA_WIDTH_W != 36 || DATA_WIDTH_R != 9 && DATA_WIDTH_R != 18 && DATA_WIDTH_R != 36)
        $fatal(1, "PDPW16KD: DATA_WIDTH_W must be 36, DATA_WIDTH_R 9, 18 or 36");
    if (REGMODE != "NOREG" && REGMODE != "OUTREG") $fatal(1, "PDPW16KD: REGMODE must be NOREG or OUTREG");
    if (CLKWMUX != "CLKW" || CLKRMUX != "CLKR" || RESETMODE != "SYNC")
        $fatal(1, "PDPW16KD: clocks must not be inverted, RESETMODE must be SYNC");
    always_comb if (CLKW != CLKR) $fatal(1, "PDPW16KD: CLKW and CLKR must be one clock");

    localparam [39:0] DECODE_W = CSDECODE_W, DECODE_R = CSDECODE_R;
    wire enw = CEW && {CSW2, CSW1, CSW0} == {DECODE_W[16], DECODE_W[8], DECODE_W[0]};
    wire enr = CER && {CSR2, CSR1, CSR0} == {DECODE_R[16], DECODE_R[8], DECODE_R[0]};
    wire [35:0] di = {DI35, DI34, DI33, DI32, DI31, DI30, DI29, DI28, DI27, DI26, DI25, DI24, DI23, DI22, DI21, DI20, DI19, DI18,
        DI17, DI16, DI15, DI14, DI13, DI12, DI11, DI10, DI9, DI8, DI7, DI6, DI5, DI4, DI3, DI2, DI1, DI0};
    wire [8:0] adw = {ADW8, ADW7, ADW6, ADW5, ADW4, ADW3, ADW2, ADW1, ADW0};
    wire [13:0] adr = {ADR13, ADR12, ADR11, ADR10, ADR9, ADR8, ADR7, ADR6, ADR5, ADR4, ADR3, ADR2, ADR1, ADR0};
    wire [DATA_WIDTH_R-1:0] q;
    wire [35:0] do_pins;
    if (DATA_WIDTH_R == 36) assign do_pins = {q[17:0], q[35:18]};
    else assign do_pins = 36'(q);
    assign {DO35, DO34, DO33, DO32, DO31, DO30, DO29, DO28, DO27, DO26, DO25, DO24, DO23, DO22, DO21, DO20, DO19, DO18, DO17,
        DO16, DO15, DO14, DO13, DO12, DO11, DO10, DO9, DO8, DO7, DO6, DO5, DO4, DO3, DO2, DO1, DO0} = do_pins;

    gradgate_ebr_pseudo #(.WIDTH(DATA_WIDTH_R), .REGISTERED(REGMODE == "OUTREG")) ram (
        .clk(CLKW), .write(enw), .read(enr), .oce(OCER), .rst(RST),
        .at_w(adw), .parts({BE3, BE2, BE1, BE0}), .data(di), .ad_r(adr), .q(q));
endmodule
