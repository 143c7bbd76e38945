// ECP5 block RAM, 18 kbit: two ports, or one that writes words of 36 bits and one that reads.
//
// Source: Lattice FPGA-TN-02204, "ECP5 and ECP5-5G Memory Usage Guide". Contents at the start must be zero, both clocks the same net.

// Ports A and B of DATA_WIDTH 1, 2, 4, 9 or 18, both the same. Address bit 13 is the highest; words wider than one bit leave the
// lowest bits out, of which 1..0 are byte enables of an 18-bit write. A port does nothing unless CE is high and CS is CSDECODE.
//
// With DATA_WIDTH_A = 36 port A only writes, with the byte enables in ADA3..0 and the upper half of the word at DIB; B only reads, with
// the upper half of a word of 36 bits, or a narrower word, at DOB.
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
    if (CLKAMUX != "CLKA" || CLKBMUX != "CLKB") $fatal(1, "DP16KD: clocks must not be inverted");
    // Yosys says ASYNC of a block without a reset.
    always_comb if (RESETMODE != "SYNC" && (RSTA || RSTB)) $fatal(1, "DP16KD: RESETMODE must be SYNC where there is a reset");
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
